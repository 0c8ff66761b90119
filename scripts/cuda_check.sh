#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything that only a GPU can show, in one command of at most ten minutes: that the CUDA back end
# computes what the CPU does, that its kernels touch no memory that is not theirs, and how fast it
# is beside the device's limits and PyTorch.
#   scripts/cuda_check.sh [--out DIR] [--resume OUT.json]
#       from a clone with build/release/p2s, or OUT/cuda_check.sh of a bundle (scripts/bundle.sh).
#       --resume: what an earlier call did well is taken from its results, and the rest done
#   scripts/cuda_check.sh --rehearse [--out DIR]
#       without a GPU: every stage that can, small, on the emulated device (p2s-emulated beside
#       p2s); says what it skips. Its times mean nothing
# Needs a driver, the toolkit's libraries (looked for beside nvcc, in /usr/local/cuda* and in
# Python's packages) and python3; compute-sanitizer and PyTorch with diffusers are used if there.
# Writes files to DIR (default bench/results), named <date>-<device>: .json, an object with
# the machine, every stage with its time and result, and every row that was measured; .md, tables
# of it; .log, what the stages said; .plans, the table of `p2s bench tune`. They are written after
# every stage, so that a call that is cut off has its results too.
# Exit code: 0 all good, 1 a stage failed, 3 no GPU.
#   P2S_BUDGET=SECONDS   of all stages (default 570); what does not fit is left out, and listed
#   P2S_ONLY="STAGE ..." only these stages
#   P2S_BUILD=DIR        the clone's build (default build/release)
set -uo pipefail
here=$PWD
cd "$(dirname "$0")/.." || exit 1

# ---- the machine ---------------------------------------------------------------------------------

rehearse='' resume='' folder=bench/results
usage() {
    echo "usage: cuda_check.sh [--rehearse] [--out DIR] [--resume OUT.json]" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    --rehearse) rehearse=1 ;;
    --out) folder=$(cd "$here" && realpath -m "${2:-.}") && shift ;;
    --resume) resume=$(cd "$here" && realpath -m "${2:-.}") && shift ;;
    *) usage ;;
    esac
    shift || usage
done
budget=${P2S_BUDGET:-570}
PATH=$PATH:/usr/local/cuda/bin:/usr/local/nvidia/bin
build=${P2S_BUILD:-build/release}
if [ -n "$rehearse" ]; then
    device="emulated device"
elif ! command -v nvidia-smi >/dev/null || ! device=$(nvidia-smi --query-gpu=name --format=csv,noheader -i 0 2>/dev/null); then
    echo "cuda_check: no NVIDIA GPU on this machine (nvidia-smi finds none): nothing was checked" >&2
    exit 3
fi

# Folders that hold a library of the toolkit.
toolkit() {
    local nvcc
    nvcc=$(command -v nvcc) && dirname "$(dirname "$(readlink -f "$nvcc")")" | sed 's/$/\/lib64/'
    ls -d /usr/local/cuda*/lib64 /usr/local/cuda*/lib 2>/dev/null
    python3 -c 'import glob, sys
for path in sys.path:
    for found in sorted(glob.glob(path + "/nvidia/*/lib")): print(found)' 2>/dev/null
    # The driver's, where the system's own list lacks it.
    ldconfig -p 2>/dev/null | grep -q 'libcuda.so.1 ' || ls -d /usr/local/nvidia/lib64 /usr/local/nvidia/lib 2>/dev/null
}
P2S_CUDA_LIBRARIES=$(toolkit | awk '!seen[$0]++' | paste -sd:)
export P2S_CUDA_LIBRARIES
# PyTorch has its own libraries and must find those alone; ours are for our programs.
libraries=${LD_LIBRARY_PATH:-}
if [ -x ./p2s ]; then
    program=$PWD/p2s plans=$PWD/p2s-plans
else
    program=$(realpath "$build")/p2s${rehearse:+-emulated} plans=$(realpath "$build")/tests/planning/p2s-plans
    export LD_LIBRARY_PATH=$P2S_CUDA_LIBRARIES${libraries:+:$libraries}
fi
if ! why=$("$program" --version 2>&1); then
    echo "cuda_check: $program does not start: $why" >&2
    [ -f NEEDS ] && echo "cuda_check: it needs $(tr '\n' ' ' <NEEDS), looked for in $P2S_CUDA_LIBRARIES" >&2
    exit 1
fi

mkdir -p "$folder"
out=$folder/$(date +%F)-$(printf '%s' "$device" | tr ' A-Z' '-a-z' | tr -cd 'a-z0-9-')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Homes are read-only on some machines; compiled kernels of the driver and of PyTorch are kept here.
# What a stage that was stopped had compiled serves the next call on the same machine.
cache=${TMPDIR:-/tmp}/p2s-cuda-check-cache
export CUDA_CACHE_PATH=$cache/cuda TORCHINDUCTOR_CACHE_DIR=$cache/inductor TRITON_CACHE_DIR=$cache/triton
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
rows=$work/rows.jsonl log=$out.log
failed=0
[ -n "$resume" ] || : >"$log"
left() { echo $((budget - SECONDS)); }
say() { printf '%s\n' "$1" >>"$rows"; }
write() { python3 scripts/cuda_report.py "$rows" "$out.json" "$@"; }

# ---- stages --------------------------------------------------------------------------------------

# stage NAME SECONDS COMMAND...: runs it for at most SECONDS, its output at the end of the log. Rows
# that begin with { in its output are kept, but for a description's. A stage that does not fit in the
# budget is left out.
stage() {
    local name=$1 most=$2 code=0 start=$SECONDS said=$work/said
    shift 2
    if [ -n "${P2S_ONLY:-}" ] && [[ " $P2S_ONLY " != *" $name "* ]]; then return; fi
    if grep -qF "{\"stage\": \"$name\", \"result\": \"ok\"" "$rows"; then
        printf '%-34s done before\n' "$name"
        return
    fi
    if [ "$(left)" -lt 5 ]; then
        printf '%-34s left out: no time left\n' "$name"
        say "{\"stage\": \"$name\", \"result\": \"left out\"}"
        return
    fi
    local cut=
    [ "$most" -lt "$(left)" ] || { most=$(left) cut=1; }
    timeout -k 5 "$most" "$@" >"$said" 2>"$said.err" </dev/null || code=$?
    local result=ok
    [ $code -eq 0 ] || result="exit code $code"
    [ $code -eq 124 ] && result="stopped after $most s"
    if [ -n "$cut" ] && { [ $code -eq 124 ] || [ $code -eq 137 ]; }; then
        result="left out after $most s"
    elif [ $code -ne 0 ]; then
        failed=$((failed + 1))
    fi
    printf '%-34s %-18s %4d s   %s\n' "$name" "$result" $((SECONDS - start)) \
        "$(grep -hoE '[0-9]+ passed, [0-9]+ failed.*' "$said" | tail -n 1)"
    [ $code -eq 0 ] || { grep -E '^FAIL|"ok": false' "$said"; tail -n 8 "$said.err"; } | cut -c1-300 | tail -n 12 | sed 's/^/    /'
    { printf '==== %s: %s, %d s: %s\n' "$name" "$result" $((SECONDS - start)) "$*"; cat "$said" "$said.err"; } >>"$log"
    say "{\"stage\": \"$name\", \"result\": \"$result\", \"seconds\": $((SECONDS - start))}"
    [ "$name" = device-description ] || grep -h '^{"' "$said" | sed "s/^{/{\"of\": \"$name\", /" >>"$rows"
    write 2>/dev/null || true
}

# skip STAGE WHY: said, not a failure.
skip() {
    printf '%-34s skipped: %s\n' "$1" "$2"
    say "{\"stage\": \"$1\", \"result\": \"skipped: $2\"}"
}

# gpu STAGE ...: a stage that says nothing without a GPU.
gpu() {
    if [ -n "$rehearse" ]; then skip "$1" "needs a GPU"; else stage "$@"; fi
}

smi() {
    if [ -n "$rehearse" ]; then echo none; else nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0; fi
}
echo "$device, $(smi driver_version,memory.total)"
[ -z "$rehearse" ] || echo "A rehearsal: nothing here ran on a GPU, and no time is meant."
if [ -n "$resume" ]; then
    python3 scripts/cuda_report.py --rows "$resume" >"$rows" || exit 1
else
    say "{\"machine\": \"$device\", \"driver\": \"$(smi driver_version)\", \"date\": \"$(date +%FT%T)\", \"commit\": \"$(cat COMMIT 2>/dev/null || git rev-parse HEAD)\"}"
fi

# What is benchmarked: Stable Diffusion 2; in a rehearsal the miniature, at sizes of no meaning.
model=sd2 small=480x640 wide=368x1024 spend=2 batch=8 more="1 16 4 2" ops_of=()
short=()
[ -z "$rehearse" ] || {
    model=miniature small=32x32 wide=16x64 spend=0 batch=2 more="1 3" ops_of=(binary)
    short=(data.height=16 data.width=16)
}
steps() { # KIND SIZE TYPE BATCH: the first step makes some hundred plans
    stage "step-$1-$2-$3-$4" 180 "$program" bench step --device cuda --model $model --kind "$1" --size "$2" \
        --batch "$4" --type "$3" --seconds $spend --json
}
ops() {
    stage "ops-$1" 90 "$program" bench ops "${ops_of[@]}" --device cuda --type "$1" --batch 8 \
        --seconds "$(awk "BEGIN { print $spend / 20 }")" --json
}
peer() { # KIND BATCH SECONDS SETTING: each is a process of its own
    [ -n "$has_peer" ] || return 0
    gpu "peer-$1-$2-${4// /-}" "$3" env LD_LIBRARY_PATH="$libraries" PYTHONPATH="$peer_path" \
        python3 peers/torch_peer.py step --device cuda --model sd2 --kind "$1" --size 480x640 --batch "$2" \
        --bf16 --seconds 2 --setting "$4"
}
sanitize() { # TOOL SECONDS OP
    stage "$1-$3" "$2" compute-sanitizer --target-processes all --error-exitcode 9 --tool "$1" \
        "$program" check "$3" --device cuda
}

# What PyTorch needs and this machine lacks comes with the bundle.
has_peer=1 peer_path=${PYTHONPATH:-}
if [ -n "$rehearse" ]; then
    skip peer "needs a GPU"
    has_peer=
else
    if [ -d peers/wheels ] && ! python3 -c 'import diffusers' 2>/dev/null; then
        python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$work/site" peers/wheels/*.whl >>"$log" 2>&1
        peer_path=$work/site${peer_path:+:$peer_path}
    fi
    if ! why=$(LD_LIBRARY_PATH=$libraries PYTHONPATH=$peer_path python3 -c 'import torch, diffusers
from diffusers import UNet2DConditionModel, AutoencoderKL, ControlNetModel' 2>&1) || [ ! -f peers/torch_peer.py ]; then
        printf '%s\n' "$why" >>"$log"
        skip peer "no peers/torch_peer.py, torch or diffusers"
        has_peer=
    fi
fi

# ---- in order of what matters most: what the budget does not reach is left out -------------------

if [ -x "$plans" ]; then gpu device-description 20 "$plans" --describe; fi

# Does it compute what the CPU does?
stage step-gradients 60 scripts/check_cuda_step.sh "$program" 1 "${short[@]}"
stage fixtures 60 scripts/check_fixtures.py "$program" --device cuda
stage recording 60 scripts/check_recording.sh "$program" 4 "${short[@]}"
stage op-cases 100 "$program" check --device cuda

# Sums over the processes of a job, recorded. In a job of one NCCL joins and is called, but has
# nothing to launch; sums need two GPUs.
if [ -n "$rehearse" ]; then
    skip recording-nccl "needs a GPU"
elif [[ $(P2S_NCCL=1 timeout 30 "$program" check minmax --device cuda 2>&1 | tee -a "$log") = *"NCCL, "@("which was not found"|"and this program")* ]]; then
    skip recording-nccl "no libnccl.so.2, or a program without NCCL"
else
    stage recording-nccl 60 env P2S_NCCL=1 scripts/check_recording.sh "$program" 4
fi
if [ -n "$rehearse" ] || [ "$(nvidia-smi --list-gpus | wc -l)" -lt 2 ]; then
    skip processes "needs two GPUs"
elif ! command -v mpirun >/dev/null; then
    skip processes "there is no mpirun"
elif [[ $(OMPI_COMM_WORLD_SIZE=2 "$program" train nothing 2>&1) = *"without MPI"* ]]; then
    skip processes "a program without MPI, as those of bundles are"
else
    stage processes 60 scripts/check_processes.sh p2s="$program" device=cuda
fi

# How fast? Against the device's own limits, and whole steps beside PyTorch.
ops bf16
steps gen2seg $small bf16 $batch
peer gen2seg 8 60 channels_last
peer gen2seg 8 240 "channels_last compile"
steps prompt2seg $small bf16 $batch
for images in $more; do steps gen2seg $small bf16 "$images"; done
steps gen2seg $wide bf16 $batch

# Do kernels touch what is not theirs? racecheck sees shared memory only.
if [ -n "$rehearse" ]; then
    skip compute-sanitizer "needs a GPU"
elif command -v compute-sanitizer >/dev/null; then
    for op in group_norm coloring_loss attention linear; do sanitize memcheck 40 $op; done
    for op in group_norm layer_norm coloring_loss; do sanitize racecheck 40 $op; done
else
    skip compute-sanitizer "there is none"
fi

# What other plans of the libraries would give.
table=$out.plans
stage tune 240 "$program" bench tune --device cuda --model $model --size $small --batch $batch --type bf16 --out "$table" --json
if [ -s "$table" ]; then
    stage "step-gen2seg-$small-bf16-$batch-tuned" 240 env P2S_PLAN_TABLE="$table" "$program" bench step --device cuda \
        --model $model --size $small --batch $batch --type bf16 --seconds $spend --json
else
    skip "step-gen2seg-$small-bf16-$batch-tuned" "no table"
fi

# A small learning rate: at a large one the CPU's own rounding takes a run anywhere within 20 steps.
stage fifty-steps 90 scripts/check_cuda_step.sh "$program" $((rehearse ? 10 : 50)) train.checkpoint_every=1000 train.warmup=5 \
    train.lr=1e-5 "${short[@]}"
stage recording-bf16 240 scripts/check_recording.sh "$program" 4 train.precision=bf16 "${short[@]}"
steps prompt2seg $wide bf16 $batch
for images in $more; do
    steps prompt2seg $small bf16 "$images"
    steps gen2seg $wide bf16 "$images"
    steps prompt2seg $wide bf16 "$images"
done
peer prompt2seg 8 60 channels_last
peer prompt2seg 8 150 "channels_last compile"
steps gen2seg $small tf32 $batch
ops tf32
ops f32
for images in 1 16 4 2; do peer gen2seg $images 60 channels_last; done
for images in 1 16 4 2; do peer gen2seg $images 150 "channels_last compile"; done
peer gen2seg 8 60 contiguous_format
peer gen2seg 8 150 "contiguous_format compile"

# ---- results -------------------------------------------------------------------------------------

echo
write --print || failed=$((failed + 1))
echo "results: $out.json, .md, .log; $SECONDS s"
[ $failed -eq 0 ] || {
    echo "cuda_check: $failed stages failed, or their results"
    exit 1
}
