#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that a killed run loses nothing: trains the miniature without a break, then again with
# kill -9 at random moments, each followed by --resume, and compares every weight file and the
# optimizer's state byte by byte. Exit code 1 when one byte differs. About a minute on two cores.
#   check_resume.sh [key=value ...]
#     p2s=build/release/p2s   the program
#     tasks="gen2seg prompt2seg"
#     steps=36                optimizer steps of each run, at least 2 for every kill
#     kills=3                 and as many moments
#     seed=1                  of the moments and of the runs
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
p2s=build/release/p2s tasks="gen2seg prompt2seg" steps=36 kills=3 seed=1
for setting in "$@"; do
    case $setting in
    p2s=* | tasks=* | steps=* | kills=* | seed=*) declare "$setting" ;;
    *) echo "check_resume: unknown argument \"$setting\"" >&2 && exit 2 ;;
    esac
done
[ -x "$p2s" ] || { echo "check_resume: $p2s is missing; build it first" >&2 && exit 1; }
folder=$(mktemp -d) || exit 1
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
RANDOM=$seed

# The smallest run that takes every path: several micro-batches, workers, checkpoints in between.
run_arguments() {
    echo "configs/miniature/$1.yaml model=miniature run=$2 seed=$seed threads=2 train.steps=$steps" \
        "train.batch=2 train.accumulate=2 train.checkpoint_every=4 train.warmup=5" \
        "train.sample_every=10 data.count=50 data.height=32 data.width=32 data.workers=2"
}

lines() {
    if [ -f "$1" ]; then wc -l <"$1"; else echo 0; fi
}

# Starts COMMAND and kills it once the log has `$2` lines, after a random part of a step; returns
# 1 when it had ended before.
kill_after() {
    local log=$1 wanted=$2 process
    shift 2
    "$@" &
    process=$!
    while [ "$(lines "$log")" -lt "$wanted" ]; do
        if ! kill -0 $process 2>/dev/null; then
            wait $process
            return 1
        fi
        sleep 0.01
    done
    sleep "0.0$((RANDOM % 40 + 10))"
    kill -9 $process 2>/dev/null || return 1
    wait $process 2>/dev/null
    return 0
}

# Runs task $1 in $2 with kills; prints where each one fell.
killed_run() {
    local task=$1 run=$2 i wanted log=$2/metrics.jsonl
    local command=("$p2s" train --quiet)
    # shellcheck disable=SC2207
    local arguments=($(run_arguments "$task" "$run"))
    for ((i = 0; i < kills; i++)); do
        # One moment in the first half of each of equal parts of the run: it cannot have ended.
        wanted=$((steps * i / kills + RANDOM % (steps / kills / 2) + 1))
        kill_after "$log" "$wanted" "${command[@]}" "${arguments[@]}" || {
            echo "check_resume: $task ended before kill $((i + 1))" >&2
            return 1
        }
        echo "  killed after step $(lines "$log"), newest checkpoint:" \
            "$(readlink "$run/checkpoints/latest" || echo none yet)"
        arguments=(--resume "$run")
    done
    "${command[@]}" "${arguments[@]}"
}

# Everything of two run folders that must agree. The log without its times.
compare() {
    local one=$1 other=$2 file differing=0 count=0
    while read -r file; do
        count=$((count + 1))
        cmp "$one/checkpoints/latest/$file" "$other/checkpoints/latest/$file" || differing=1
    done < <(cd "$one/checkpoints/latest" && find . -type f -name '*.safetensors' -o -name state.json)
    [ "$count" -ge 4 ] || { echo "check_resume: only $count files to compare" >&2 && return 1; }
    for file in "$one" "$other"; do
        sed 's/, "seconds".*//' "$file/metrics.jsonl" >"$file/metrics"
    done
    cmp "$one/metrics" "$other/metrics" || differing=1
    [ "$(find "$other" -name '*.p2s-*' -o -name '*.tmp-*' | wc -l)" -eq 0 ] || differing=1
    [ $differing -eq 0 ] && echo "  $count files and the log are identical"
    return $differing
}

export OMP_WAIT_POLICY=passive
failed=0
for task in $tasks; do
    echo "$task, $steps steps:"
    # shellcheck disable=SC2046
    if "$p2s" train --quiet $(run_arguments "$task" "$folder/$task") &&
        killed_run "$task" "$folder/$task-killed" &&
        compare "$folder/$task" "$folder/$task-killed"; then
        :
    else
        failed=1
    fi
done
if [ $failed -eq 0 ]; then
    echo "check_resume: killed and resumed runs have the same bits"
else
    echo "check_resume: FAILED"
fi
exit $failed
