#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that a killed run loses nothing: trains the miniature without a break, then again with
# kill -9 at random moments, each followed by --resume, and compares every file of the
# checkpoints and the logs byte by byte. The first moment is anywhere, also before anything
# was written; every other one after that is inside the writing of a checkpoint. Exit code 1 when one
# byte differs, or when no kill fell inside a write. Half a minute on two cores.
#   check_resume.sh [key=value ...]
#     p2s=build/release/p2s   the program
#     stages=vae,diffusion,gen2seg,prompt2seg
#     kills=3                 moments in each stage
#     steps=0                 optimizer steps of each run; at least 6 for every kill
#     seed=1                  of the moments and of the runs
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
p2s=build/release/p2s stages=vae,diffusion,gen2seg,prompt2seg kills=3 steps=0 seed=1
for setting in "$@"; do
    case $setting in
    p2s=* | stages=* | kills=* | steps=* | seed=*) declare "$setting" ;;
    *) echo "check_resume: unknown argument \"$setting\"" >&2 && exit 2 ;;
    esac
done
[ "$steps" -ge $((6 * kills)) ] || steps=$((6 * kills))
[ -x "$p2s" ] || { echo "check_resume: $p2s is missing; build it first" >&2 && exit 1; }
folder=$(mktemp -d) || exit 1
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
RANDOM=$seed
exec {never}<> <(:)

# Sleeps $1 milliseconds, without a process.
nap() {
    local seconds
    printf -v seconds '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
    read -rt "$seconds" -u "$never"
}

# The smallest run that takes every path: several micro-batches, workers, checkpoints in between.
run_arguments() {
    echo "configs/miniature/$1.yaml model=miniature run=$2 seed=$seed threads=2 train.steps=$steps" \
        "train.batch=2 train.accumulate=2 train.checkpoint_every=3 train.keep=1 train.warmup=5" \
        "train.sample_every=10 data.count=50 data.height=32 data.width=32 data.workers=2" \
        "predict.resolution=32"
    [ "$1" = diffusion ] ||
        echo "train.validate_every=5 validate.sets=scenes:split=val:size=32 validate.images=1"
}

lines() {
    if [ -f "$1" ]; then wc -l <"$1"; else echo 0; fi
}

in_write() {
    compgen -G "$1/checkpoints/step-*.p2s-tmp" >/dev/null
}

# until_reached RUN LINES WRITE: returns when the log has so many lines, and with WRITE when a
# checkpoint is being written after that; 1 when the process ended before.
until_reached() {
    while [ "$(lines "$1/metrics.jsonl")" -lt "$2" ]; do
        kill -0 "$process" 2>/dev/null || return 1
        nap 5
    done
    [ "$3" -eq 1 ] || return 0
    # Looks at it while it stands still, so that a slow look misses nothing.
    while kill -STOP "$process" 2>/dev/null; do
        in_write "$1" && return 0
        kill -CONT "$process"
        nap $((RANDOM % 5 + 1))
    done
    return 1
}

# Where a run stands that was killed.
place() {
    local newest
    newest=$(readlink "$1/checkpoints/latest" || echo step-0)
    if in_write "$1"; then
        echo "inside the write of a checkpoint"
    elif [ -d "$1/checkpoints" ] &&
        find "$1/checkpoints" -name 'step-*' | sed 's/.*step-//' |
        awk -v newest="${newest#step-}" '$1 > newest { later = 1 } END { exit !later }'; then
        echo "between a checkpoint and its link"
    else
        echo "elsewhere"
    fi
}

# Runs stage $1 in $2 with kills; prints where each one fell.
killed_run() {
    local stage=$1 run=$2 i wanted write hits=0 where process arguments
    for ((i = 0; i < kills; i++)); do
        # shellcheck disable=SC2207
        arguments=($(run_arguments "$stage" "$run"))
        [ -f "$run/config.yaml" ] && arguments=(--resume "$run")
        # One moment in the first half of each of equal parts of the run: it cannot have ended.
        wanted=$((i == 0 ? 0 : steps * i / kills + RANDOM % (steps / kills / 2) + 1))
        write=$((i % 2))
        "$p2s" train --quiet "${arguments[@]}" &
        process=$!
        if ! until_reached "$run" $wanted $write; then
            wait $process
            echo "check_resume: $stage ended before kill $((i + 1))" >&2
            return 1
        fi
        [ $write -eq 1 ] || nap $((RANDOM % (i == 0 ? 600 : 200)))
        kill -9 $process 2>/dev/null
        wait $process 2>/dev/null
        where=$(place "$run")
        case $where in inside*) hits=$((hits + 1)) ;; esac
        echo "  kill $((i + 1)) after step $(lines "$run/metrics.jsonl"), $where; newest checkpoint:" \
            "$(readlink "$run/checkpoints/latest" || echo none yet)"
    done
    inside=$((inside + hits))
    echo "  $kills kills, $hits of them inside the write of a checkpoint"
    "$p2s" train --quiet --resume "$run"
}

# Everything of two run folders that must agree. The logs without their times.
compare() {
    local one=$1 other=$2 file log differing=0 count=0
    while read -r file; do
        count=$((count + 1))
        cmp "$one/checkpoints/$file" "$other/checkpoints/$file" || differing=1
    done < <(cd "$one/checkpoints" && find -L . -type f)
    [ "$count" -ge 20 ] || { echo "check_resume: only $count files to compare" >&2 && return 1; }
    for log in metrics validation; do
        for file in "$one" "$other"; do
            [ -f "$file/$log.jsonl" ] && sed 's/, "seconds".*//' "$file/$log.jsonl" >"$file/$log"
        done
        [ ! -f "$one/$log" ] || cmp "$one/$log" "$other/$log" || differing=1
    done
    [ "$(readlink "$one/checkpoints/best")" = "$(readlink "$other/checkpoints/best")" ] || differing=1
    [ "$(find "$other" -name '*.p2s-*' -o -name '*.tmp-*' | wc -l)" -eq 0 ] || differing=1
    python3 scripts/check_tensorboard.py "$other" >"$other/events" || differing=1
    grep -v ' values, as in the log$' "$other/events"
    [ $differing -eq 0 ] && echo "  $count files of the checkpoints and the logs are identical"
    return $differing
}

export OMP_WAIT_POLICY=passive
failed=0 inside=0
for stage in ${stages//,/ }; do
    echo "$stage, $steps steps:"
    # shellcheck disable=SC2046
    "$p2s" train --quiet $(run_arguments "$stage" "$folder/$stage") &&
        killed_run "$stage" "$folder/$stage-killed" &&
        compare "$folder/$stage" "$folder/$stage-killed" || failed=1
    rm -rf "${folder:?}/$stage" "${folder:?}/$stage-killed"
done
[ "$kills" -lt 2 ] || [ $inside -gt 0 ] || {
    echo "check_resume: no kill fell inside the write of a checkpoint" >&2
    failed=1
}
if [ $failed -eq 0 ]; then
    echo "check_resume: killed and resumed runs have the same bits"
else
    echo "check_resume: FAILED"
fi
exit $failed
