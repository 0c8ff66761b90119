#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A folder that runs on another machine: the program, the libraries it needs beyond glibc and the
# CUDA toolkit, and what scripts/cuda_check.sh works with. Below 50 MB.
#   scripts/bundle.sh [OUT [BUILD]]     defaults: build/bundle, build/bundle-program
# BUILD is made if it is missing, without oneDNN: that library alone is 40 MB, and on the other
# machine the CPU is only what the GPU is compared with; and without MPI, which is each machine's own.
# On the other machine: OUT/cuda_check.sh. CUDA, cuDNN and the driver are that machine's own; they
# must have the major versions that the program was linked with (OUT/NEEDS names them).
#   P2S_PEERS=DIR    the PyTorch comparison to copy (default ../shared/peers, if it is there)
#   P2S_WHEELS=0     leaves out the Python wheels that the comparison needs
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/bundle} build=${2:-build/bundle-program}
peers=${P2S_PEERS:-../shared/peers}
limit=$((50 * 1000 * 1000))

if [ ! -x "$build/p2s" ]; then
    cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DP2S_ONEDNN=OFF -DP2S_MPI=OFF -DP2S_TESTS=OFF >/dev/null
    cmake --build "$build" --target p2s -j "${P2S_JOBS:-$(nproc)}" >/dev/null
    if cmake --build "$build" --target help | grep p2s-plans >/dev/null; then
        cmake --build "$build" --target p2s-plans >/dev/null
    fi
fi
ldd "$build/p2s" | grep libcublasLt >/dev/null || {
    echo "bundle: $build/p2s was built without CUDA; configure with nvcc on the PATH" >&2
    exit 1
}

rm -rf "$out"
mkdir -p "$out/lib" "$out/libexec" "$out/tests" "$out/models" "$out/configs"
install -s -m 755 "$build/p2s" "$out/libexec/p2s"
if [ -x "$build/tests/planning/p2s-plans" ]; then
    install -s -m 755 "$build/tests/planning/p2s-plans" "$out/libexec/p2s-plans"
fi

# glibc stays the machine's, and so does all that comes with the driver and the toolkit.
system='^(linux-vdso|ld-linux|libc|libm|libdl|librt|libpthread|libresolv|libutil)[.-]'
nvidia='^lib(cuda|cudart|cublas|cublasLt|cudnn|nccl|nv|OpenCL)'
ldd "$build/p2s" | awk '/=> \// { print $1, $3 }' | while read -r name path; do
    [[ $name =~ $system || $name =~ $nvidia ]] && continue
    install -m 644 "$path" "$out/lib/$name"
    strip --strip-unneeded "$out/lib/$name" 2>/dev/null || true
done
ldd "$build/p2s" | awk '/=>/ { print $1 }' | grep -E "$nvidia" | sort -u >"$out/NEEDS"

# The programs find the folder's libraries first, then the toolkit's.
for name in "$out"/libexec/*; do
    name=$(basename "$name")
    cat >"$out/$name" <<'SCRIPT'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH="$here/lib:${P2S_CUDA_LIBRARIES:-}:${LD_LIBRARY_PATH:-}" exec "$here/libexec/$(basename "$0")" "$@"
SCRIPT
    chmod +x "$out/$name"
done

cp -r models/miniature "$out/models/"
cp -r configs/miniature "$out/configs/"
cp -r tests/fixtures "$out/tests/"
mkdir -p "$out/scripts" "$out/bench/results"
cp scripts/cuda_check.sh scripts/cuda_report.py scripts/check_cuda_step.sh scripts/compare_runs.py \
    scripts/check_fixtures.py scripts/check_recording.sh scripts/check_processes.sh "$out/scripts/"
# shellcheck disable=SC2016
printf '#!/bin/sh\nexec "$(dirname "$0")/scripts/cuda_check.sh" "$@"\n' >"$out/cuda_check.sh"
chmod +x "$out/cuda_check.sh"
git rev-parse HEAD >"$out/COMMIT" 2>/dev/null || echo unknown >"$out/COMMIT"

if [ -f "$peers/torch_peer.py" ]; then
    mkdir -p "$out/peers"
    cp "$peers/torch_peer.py" "$out/peers/"
    chmod u+w "$out/peers/torch_peer.py"
    if [ "${P2S_WHEELS:-1}" = 1 ]; then
        python3 -m pip download -q --no-deps -d "$out/peers/wheels" diffusers importlib_metadata zipp ||
            echo "bundle: no wheels of diffusers; the comparison needs them installed there" >&2
    fi
else
    echo "bundle: no $peers/torch_peer.py, the bundle compares with nothing" >&2
fi

bytes=$(du -sb "$out" | cut -f1)
printf '%s: %d MB, needs of the machine: %s\n' "$out" $((bytes / 1000000)) "$(tr '\n' ' ' <"$out/NEEDS")"
[ "$bytes" -le $limit ] || {
    echo "bundle: more than $((limit / 1000000)) MB" >&2
    exit 1
}
