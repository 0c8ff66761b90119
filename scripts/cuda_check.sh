#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything that only a GPU can show, in one command of at most ten minutes: that the CUDA back end
# computes what the CPU does, that its kernels touch no memory that is not theirs, and how fast it
# is beside the device's limits and PyTorch.
#   scripts/cuda_check.sh [OUT.json]   from a clone with build/release/p2s, or OUT/cuda_check.sh of a
#                                      bundle (scripts/bundle.sh)
#   scripts/cuda_check.sh --rehearse   without a GPU: the stages that check, on the emulated device
#                                      (p2s-emulated beside p2s); says what it skips, writes nothing
# Needs a driver, the toolkit's libraries (looked for beside nvcc, in /usr/local/cuda* and in
# Python's packages) and python3; compute-sanitizer and PyTorch with diffusers are used if there.
# Writes bench/results/<date>-<device>.json: an object with the machine, every stage with its time
# and result, and every row that was measured; and the same with .md: tables, with ratios.
# Exit code: 0 all good, 1 a stage failed, 3 no GPU.
#   P2S_BUDGET=SECONDS   of all stages (default 570); what does not fit is left out, and listed
#   P2S_ONLY="STAGE ..." only these stages
#   P2S_LOGS=DIR         where the logs stay (default: beside the results)
#   P2S_BUILD=DIR        the clone's build (default build/release)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# ---- the machine ---------------------------------------------------------------------------------

rehearse=
[ "${1:-}" = --rehearse ] && rehearse=1 && shift
budget=${P2S_BUDGET:-$((rehearse ? 7200 : 570))}
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
}
PATH=$PATH:/usr/local/cuda/bin
P2S_CUDA_LIBRARIES=$(toolkit | paste -sd:)
export P2S_CUDA_LIBRARIES
if [ -x ./p2s ]; then
    program=$PWD/p2s plans=$PWD/p2s-plans
else
    program=$(realpath "$build")/p2s${rehearse:+-emulated} plans=$(realpath "$build")/tests/planning/p2s-plans
    export LD_LIBRARY_PATH=$P2S_CUDA_LIBRARIES:${LD_LIBRARY_PATH:-}
fi
if ! why=$("$program" --version 2>&1); then
    echo "cuda_check: $program does not start: $why" >&2
    [ -f NEEDS ] && echo "cuda_check: it needs $(tr '\n' ' ' <NEEDS)" >&2
    exit 1
fi

out=${1:-bench/results/$(date +%F)-$(printf '%s' "$device" | tr ' A-Z' '-a-z' | tr -cd 'a-z0-9-').json}
logs=${P2S_LOGS:-${out%.json}-logs}
[ -z "$rehearse" ] || { logs=${P2S_LOGS:-$(mktemp -d)} out=$logs/rehearsal.json; }
mkdir -p "$logs" "$(dirname "$out")"
rows=$logs/rows.jsonl
: >"$rows"
failed=0
left() { echo $((budget - SECONDS)); }

say() { printf '%s\n' "$1" >>"$rows"; }

# ---- stages --------------------------------------------------------------------------------------

# stage NAME SECONDS COMMAND...: runs it for at most SECONDS, its output in $logs/NAME.log. Rows
# that begin with { in its output are kept, but for a description's. A stage that does not fit in the
# budget is left out.
stage() {
    local name=$1 most=$2 code=0 start=$SECONDS log
    shift 2
    log=$logs/$name.log
    if [ -n "${P2S_ONLY:-}" ] && [[ " $P2S_ONLY " != *" $name "* ]]; then return; fi
    if [ -n "$rehearse" ] && [[ " $rehearsed " != *" $name "* ]]; then
        printf '%-34s skipped: needs a GPU\n' "$name"
        return
    fi
    [ -z "$rehearse" ] || most=$((20 * most)) # the emulated device is slow
    [ "$most" -lt "$(left)" ] || most=$(left)
    if [ "$most" -lt 5 ]; then
        printf '%-34s left out: no time left\n' "$name"
        say "{\"stage\": \"$name\", \"result\": \"left out\"}"
        return
    fi
    timeout -k 5 "$most" "$@" >"$log" 2>"$log.err" || code=$?
    local result=ok
    [ $code -eq 0 ] || result="exit code $code"
    [ $code -eq 124 ] && result="stopped after $most s"
    [ $code -eq 0 ] || failed=$((failed + 1))
    printf '%-34s %-18s %4d s   %s\n' "$name" "$result" $((SECONDS - start)) \
        "$(grep -hoE '[0-9]+ passed, [0-9]+ failed.*' "$log" | tail -n 1)"
    [ $code -eq 0 ] || tail -n 8 "$log.err" | sed 's/^/    /'
    say "{\"stage\": \"$name\", \"result\": \"$result\", \"seconds\": $((SECONDS - start))}"
    [ "$name" = device-description ] || grep -h '^{"' "$log" | sed "s/^{/{\"of\": \"$name\", /" >>"$rows"
}

# One that is only used where it is there: a missing tool is said, not a failure.
has() {
    command -v "$1" >/dev/null && return
    printf '%-34s skipped: no %s\n' "$2" "$1"
    say "{\"stage\": \"$2\", \"result\": \"skipped: no $1\"}"
    return 1
}

# What says something without a GPU, and ends soon.
rehearsed="op-cases fixtures step-gradients recording recording-bf16"
smi() { [ -n "$rehearse" ] && echo none || nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0; }
echo "$device, $(smi driver_version,memory.total)"
[ -z "$rehearse" ] || echo "A rehearsal: nothing here ran on a GPU, and no time is meant."
say "{\"machine\": \"$device\", \"driver\": \"$(smi driver_version)\", \"date\": \"$(date +%FT%T)\", \"commit\": \"$(cat COMMIT 2>/dev/null || git rev-parse HEAD)\"}"

# Does it compute what the CPU does?
stage op-cases 120 "$program" check --device cuda
stage step-gradients 60 scripts/check_cuda_step.sh "$program" 1
stage fixtures 60 scripts/check_fixtures.py "$program" --device cuda
stage recording 60 scripts/check_recording.sh "$program" 5
stage recording-bf16 60 scripts/check_recording.sh "$program" 5 train.precision=bf16
stage fifty-steps 90 scripts/check_cuda_step.sh "$program" 50 train.checkpoint_every=1000 train.warmup=5
# Sums over the processes of a job: by NCCL in a job of one, recorded; in two where there are two GPUs.
export P2S_NCCL=1
if [ -n "$rehearse" ] || "$program" check minmax --device cuda >/dev/null 2>&1; then
    stage recording-nccl 60 scripts/check_recording.sh "$program" 5
else
    echo "recording-nccl: skipped: no libnccl.so.2, or a program without NCCL"
    say '{"stage": "recording-nccl", "result": "skipped: no NCCL"}'
fi
unset P2S_NCCL
if [ -n "$rehearse" ] || [ "$(nvidia-smi --list-gpus | wc -l)" -lt 2 ]; then
    echo "processes: skipped: one GPU"
    say '{"stage": "processes", "result": "skipped: one GPU"}'
else
    stage processes 60 scripts/check_processes.sh p2s="$program" device=cuda
    grep -h '^SKIP' "$logs/processes.log"
fi
if [ -x "$plans" ]; then
    stage device-description 20 "$plans" --describe
fi

step() {
    local kind=$1 size=$2 batch=$3 type=$4
    "$program" bench step --device cuda --model sd2 --kind "$kind" --size "$size" --batch "$batch" \
        --type "$type" --seconds 2 --json
}
peer() {
    local kind=$1 size=$2 batch=$3
    shift 3
    python3 peers/torch_peer.py step --device cuda --model sd2 --kind "$kind" --size "$size" \
        --batch "$batch" --bf16 "$@"
}
steps() { # KIND SIZE TYPE BATCH...
    local kind=$1 size=$2 type=$3 batch
    shift 3
    for batch in "$@"; do
        stage "step-$kind-$size-$batch-$type" 40 bash -c "step $kind $size $batch $type"
    done
}
export -f step peer
export program

# How fast? Against the device's own limits, and whole steps beside PyTorch. What matters most comes
# first: what the budget does not reach is left out.
ops() {
    stage "ops-$1" 60 "$program" bench ops sd2 --device cuda --type "$1" --batch 8 --seconds 0.2 --json
}
ops bf16
steps gen2seg 480x640 bf16 8
steps prompt2seg 480x640 bf16 8
if [ -d peers/wheels ]; then
    python3 -m pip install -q --no-index --no-deps --target peers/site peers/wheels/*.whl 2>/dev/null
    export PYTHONPATH=$PWD/peers/site:${PYTHONPATH:-}
fi
if [ -f peers/torch_peer.py ] && python3 -c 'import torch, diffusers' 2>/dev/null; then
    stage peer-gen2seg-480x640-8 60 bash -c "peer gen2seg 480x640 8"
    stage peer-prompt2seg-480x640-8 60 bash -c "peer prompt2seg 480x640 8"
    stage peer-prompt2seg-480x640-8-compiled 120 bash -c "peer prompt2seg 480x640 8 --compile"
    stage peer-gen2seg-480x640-8-compiled 200 bash -c "peer gen2seg 480x640 8 --compile"
else
    echo "peer: skipped: no torch_peer.py, torch or diffusers"
    say '{"stage": "peer", "result": "skipped: no torch_peer.py, torch or diffusers"}'
fi

# Do kernels touch what is not theirs? racecheck sees shared memory only.
if has compute-sanitizer memcheck; then
    sanitize() { # TOOL SECONDS OP
        stage "$1-${3:-all}" "$2" compute-sanitizer --target-processes all --error-exitcode 9 \
            --tool "$1" "$program" check ${3:+"$3"} --device cuda
    }
    for op in group_norm coloring_loss attention linear; do sanitize memcheck 40 $op; done
    for op in group_norm layer_norm coloring_loss; do sanitize racecheck 40 $op; done
fi

steps gen2seg 480x640 bf16 1 16 4 2
steps gen2seg 368x1024 bf16 8 1 16 4 2
steps prompt2seg 480x640 bf16 1 16 4 2
steps prompt2seg 368x1024 bf16 8 1 16 4 2
steps gen2seg 480x640 tf32 8
ops tf32
ops f32

# ---- results -------------------------------------------------------------------------------------

python3 - "$rows" "$out" <<'PYTHON' || failed=$((failed + 1))
import json, sys
rows = []
for number, line in enumerate(open(sys.argv[1]), 1):
    try:
        rows.append(json.loads(line))
    except json.JSONDecodeError as error:
        print(f"cuda_check: {sys.argv[1]}:{number}: no row: {error}: {line.strip()[:80]}", file=sys.stderr)
machine = next(row for row in rows if "machine" in row)
stages = [row for row in rows if "stage" in row]
measured = [row for row in rows if "of" in row]
with open(sys.argv[2], "w") as file:
    json.dump({"machine": machine, "stages": stages, "rows": measured}, file, indent=1)
    file.write("\n")
print()
for row in measured:
    if row.get("case") == "machine":
        print(f"{row['of']:34} product {row['matmul_gflops'] / 1e3:8.1f} TFLOP/s  copy {row['copy_gbps']:8.0f} GB/s")
for row in measured:
    if row.get("case") == "conv3x3":
        print(f"{row['of']:34} {row['shape']:18} {row['pass_']:16} {row['gflops'] / 1e3:8.1f} TFLOP/s {100 * row['share']:4.0f} %")
for row in measured:
    if row.get("case") == "step":
        print(f"{row['of']:34} {row['batch'] / row['seconds']:8.2f} images/s")

# Whole steps beside the peak that was measured and PyTorch; FLOPs of a step on an image of 480x640.
work = {"gen2seg": 10195e9, "prompt2seg": 10043e9}
peaks = {row["of"][4:]: row["matmul_gflops"] * 1e9 for row in measured if row.get("case") == "machine"}
steps = {row["of"]: row for row in measured if row.get("case") == "step"}
lines = ["| step | images/s | share of peak | memory GB | recorded | of eager PyTorch | of compiled |",
         "|---|---|---|---|---|---|---|"]
def rate(row):
    return row["batch"] / row["seconds"]
def is_recorded(row):  # forward and backward pass, and update, of each step
    return row.get("replays", 0) >= 2 * row.get("steps", 1)
for name, row in steps.items():
    if not name.startswith("step-"):
        continue
    height, width = map(int, row["size"].split("x"))
    flops = work.get(row["kind"], 0) * height * width / (480 * 640) * rate(row)
    peak = peaks.get(row["type"])
    peers = [steps.get(f"peer-{row['kind']}-{row['size']}-{row['batch']}{end}") for end in ("", "-compiled")]
    same = row["type"] == "bf16"
    cells = [f"{rate(row):.2f}", f"{100 * flops / peak:.0f} %" if peak else "",
             f"{row.get('held_bytes', 0) / 1e9:.1f}", "yes" if is_recorded(row) else "NO"]
    cells += [f"{rate(row) / rate(peer):.2f}" if same and peer else "" for peer in peers]
    lines.append("| " + " | ".join([name[5:]] + cells) + " |")
lines += ["", "| convolution | pass | TFLOP/s | share |", "|---|---|---|---|"]
for row in measured:
    if row.get("case") == "conv3x3":
        lines.append(f"| {row['of']} {row['shape']} | {row['pass_']} | {row['gflops'] / 1e3:.1f} | {100 * row['share']:.0f} % |")
lines += ["", "| stage | result | s |", "|---|---|---|"]
lines += [f"| {row['stage']} | {row['result']} | {row.get('seconds', '')} |" for row in stages]
table = sys.argv[2].rsplit(".", 1)[0] + ".md"
with open(table, "w") as file:
    file.write(f"# {machine['machine']}, {machine['date']}, {machine['commit'][:7]}\n\n" + "\n".join(lines) + "\n")
print("results:", sys.argv[2], table)
plain = [name for name, row in steps.items() if name.startswith("step-") and not is_recorded(row)]
if plain:
    sys.exit("cuda_check: not recorded: " + ", ".join(plain))
PYTHON
[ $failed -eq 0 ] || {
    echo "cuda_check: $failed stages failed, or their results; logs in $logs"
    exit 1
}
