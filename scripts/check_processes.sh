#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Training in several processes, by mpirun on this machine: the same losses as one process, the same
# bits in a second run and after a resume, refusals that name the numbers, and that an error or a
# death of one process ends all. On the miniature; exit code 1 when something is not so. 20 seconds.
#   scripts/check_processes.sh [p2s=build/release/p2s] [emulated=PROGRAM]
#       emulated: p2s-emulated, recorded steps beside plain ones too
#   scripts/check_processes.sh device=cuda     on a machine with several GPUs: 2 processes beside 1
# Without mpirun, or with a program that was built without MPI, it says that it skips everything.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
p2s=build/release/p2s emulated='' device=cpu
for setting in "$@"; do
    case $setting in
    p2s=* | emulated=* | device=*) declare "$setting" ;;
    *) echo "check_processes: unknown argument \"$setting\"" >&2 && exit 2 ;;
    esac
done
[ -x "$p2s" ] || { echo "check_processes: $p2s is missing; build it first" >&2 && exit 1; }
if ! command -v mpirun >/dev/null; then
    echo "SKIP several processes: no mpirun"
    exit 0
fi
if [[ $(OMPI_COMM_WORLD_SIZE=2 "$p2s" train nothing 2>&1) = *"built without MPI"* ]]; then
    echo "SKIP several processes: $p2s was built without MPI"
    exit 0
fi
folder=$(mktemp -d) || exit 1
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
# Several processes on few processors, in a container.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none \
    OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mpi_yield_when_idle=1 \
    OMP_WAIT_POLICY=passive
failed=0
says() { # GOOD WHAT
    echo "$([ "$1" = 0 ] && echo ok || echo WRONG)    $2"
    [ "$1" = 0 ] || failed=1
}

# train PROCESSES NAME TASK key=value...: what it says goes to NAME.err. $via, if set, starts each of
# the processes.
via=''
train() {
    local processes=$1 name=$2 task=$3 start=(timeout 60)
    shift 3
    [ "$processes" = 1 ] || start+=(mpirun -n "$processes")
    "${start[@]}" ${via:+"$via"} "$p2s" train "configs/miniature/$task.yaml" run="$folder/$name" device=$device \
        model=models/miniature threads=1 train.batch=4 train.steps=5 train.schedule_steps=5 \
        train.warmup=1 train.first_steps=0 train.sample_every=0 train.checkpoint_every=3 \
        data.count=40 data.height=32 data.width=32 data.workers=1 predict.resolution=32 \
        "$@" --quiet 2>"$folder/$name.err"
}

# same ONE OTHER: every file of the newest checkpoints, and the log without its times.
same() {
    local file code=0 count=0
    for file in "$1" "$2"; do
        sed 's/, "seconds".*//' "$folder/$file/metrics.jsonl" >"$folder/$file/metrics"
    done
    cmp "$folder/$1/metrics" "$folder/$2/metrics" || code=1
    while read -r file; do
        count=$((count + 1))
        cmp "$folder/$1/checkpoints/latest/$file" "$folder/$2/checkpoints/latest/$file" || code=1
    done < <(cd "$folder/$1/checkpoints/latest" && find -L . -name '*.safetensors' -o -name state.json)
    [ $count -ge 4 ] && return $code
}

# Losses and norms of every step. The first update has the rate 0: until the second step only sums in
# another order differ, as in check_cuda_step.sh; AdamW's first updates are nearly signs, and carry
# rounding on a hundredfold. An image left out or taken twice makes a difference of 1e-2 and more.
near() { # ONE OTHER STEPS
    python3 - "$folder/$1/metrics.jsonl" "$folder/$2/metrics.jsonl" "$3" <<'PYTHON'
import json, sys
one, other = ([json.loads(line) for line in open(path)] for path in sys.argv[1:3])
worst = {}
for a, b in zip(one, other):
    limit = 1e-5 if a["step"] <= 2 else 1e-3
    for key in ("loss", "grad_norm"):
        error = abs(a[key] - b[key]) / abs(a[key])
        worst[key] = max(worst.get(key, 0), error)
        if error > limit:
            sys.exit(f"step {a['step']}: {key} {a[key]} and {b[key]}")
print("       largest difference of", ", ".join(f"{key} {worst[key]:.1e}" for key in worst))
sys.exit(not len(one) == len(other) == int(sys.argv[3]))
PYTHON
}

# refused CODE NAME "WORD|WORD": the run has failed, in time, with one message that has the words.
refused() {
    local word good=0
    [ "$1" -ge 1 ] && [ "$1" -ne 124 ] || good=1
    while read -r -d '|' word; do grep -qF -- "$word" "$folder/$2.err" || good=1; done <<<"$3|"
    [ "$(grep -c '^p2s: ' "$folder/$2.err")" -le 1 ] || good=1
    [ $good = 0 ] || sed 's/^/    /' "$folder/$2.err"
    return $good
}

both=(prompt.encoding=gaussian prompt.loss=prompted)
train 1 one gen2seg && train 2 two gen2seg && near one two 5
says $? "gen2seg: 2 processes compute what one does, each half of the images of a micro-batch"
train 1 one-p prompt2seg "${both[@]}" && train 2 two-p prompt2seg "${both[@]}" &&
    near one-p two-p 5
says $? "prompt2seg: the same"
train 2 again gen2seg && same two again
says $? "2 processes give the same bits again"
if [ $device = cuda ]; then
    exit $failed
fi

parts=(train.batch=2 train.accumulate=2 train.normalise=batch train.steps=3)
train 1 one-a gen2seg "${parts[@]}" && train 2 two-a gen2seg "${parts[@]}" && near one-a two-a 3
says $? "gen2seg: 2 processes, each half of the micro-batches, whose range is their own"
for task in vae diffusion; do
    train 1 one-$task $task train.steps=3 && train 2 two-$task $task train.steps=3 &&
        near one-$task two-$task 3
    says $? "$task: 2 processes compute what one does"
done

train 2 resumed gen2seg train.steps=3 &&
    timeout 60 mpirun -n 2 "$p2s" train --resume "$folder/resumed" train.steps=5 --quiet &&
    same two resumed
says $? "a run of 2 processes that is resumed has the bits of one that never stopped"
code=0
"$p2s" train --resume "$folder/resumed" train.steps=6 --quiet 2>"$folder/resumed.err" || code=$?
refused $code resumed "state.json|2 processes"
says $? "a resume by another number of processes is refused"

code=0
train 3 odd gen2seg || code=$?
refused $code odd "3 processes|train.batch=4|train.accumulate=1" && [ ! -e "$folder/odd" ]
says $? "a batch that 3 processes cannot share is refused before anything is written"
code=0
train 2 batch gen2seg train.normalise=batch || code=$?
refused $code batch "train.normalise=batch|train.accumulate=1"
says $? "a micro-batch with a range of its own is not divided"
! OMPI_COMM_WORLD_SIZE=2 "$p2s" info models/miniature 2>"$folder/info.err" &&
    grep -q 'started as one of 2' "$folder/info.err"
says $? "commands other than train refuse to work in several processes"

# Rank 1 alone reads images that are damaged.
"$p2s" prepare scenes "$folder/data0" --split shapes --count 12 --quiet &&
    cp -r "$folder/data0" "$folder/data1" && truncate -s 100 "$folder"/data1/images/*
cat >"$folder/damaged.sh" <<'SCRIPT'
#!/bin/sh
exec "$@" "data.path=${0%/*}/data${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
SCRIPT
chmod +x "$folder/damaged.sh"
code=0
via=$folder/damaged.sh
train 2 broken gen2seg data.set=folder data.split= || code=$?
via=''
refused $code broken "rank 1 of 2|step 1 (|samples could not be read"
says $? "images that one process cannot read end both, with its message"

# until_line NAME: when the run has done two steps.
until_line() {
    for _ in {1..200}; do
        [ "$(wc -l 2>/dev/null <"$folder/$1/metrics.jsonl")" -ge 2 ] 2>/dev/null && return
        sleep 0.1
    done
    return 1
}
long=(train.steps=100000 train.checkpoint_every=100000)
train 2 killed gen2seg "${long[@]}" &
until_line killed && kill -9 "$(pgrep -f "^[^ ]*p2s train .*run=$folder/killed" | tail -n 1)"
killed=$? code=0
wait $! || code=$?
[ $killed -eq 0 ] && [ $code -ne 0 ] && [ $code -ne 124 ]
says $? "the death of one process ends the other"
train 2 stopped gen2seg "${long[@]}" &
until_line stopped && kill -USR1 "$(pgrep -f "^mpirun .*run=$folder/stopped" | tail -n 1)"
code=0
wait $! || code=$?
[ $code -eq 3 ] && [ -e "$folder/stopped/checkpoints/latest/state.json" ]
says $? "a signal to mpirun ends both with a checkpoint, exit code 3"

if [ -n "$emulated" ] && [ ! -x "$emulated" ]; then
    echo "SKIP recorded steps of several processes: no $emulated"
elif [ -n "$emulated" ]; then
    p2s=$emulated device=cuda
    small=("${both[@]}" train.batch=2 data.height=16 data.width=16 train.steps=3)
    for record in say 0; do
        export P2S_RECORD=$record
        train 2 emulated-$record prompt2seg "${small[@]}"
    done
    same emulated-say emulated-0 && grep -q 'recorded work: [2-9] replays' "$folder/emulated-say.err"
    says $? "on the emulated device: the same bits with recorded steps as without"
fi
exit $failed
