#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The paper in miniature, from nothing: auto-encoder, diffusion pretraining, gen2seg from the
# pretrained and from a random U-Net, the Prompt2Seg branch on the frozen result, the same with the
# U-Net trained along (an upper bound) or with a similarity map as its prompt, and every system on the
# same prompts of eight sets.
#   scripts/miniature.sh [seeds=N] [out=DIR] [p2s=PROGRAM] [threads=N] [images=N] [steps.STAGE=N]
#     seeds=3              independent repetitions, seeds 0..N-1
#     out=runs/miniature   one folder per seed, table.md, results.json, page.html (the pictures)
#     p2s=...              a built program; without it the release preset is built
#     threads=N            of the two commands that run at a time; default half the processors
#     images=40            scored of each set
#     steps.STAGE=N        instead of those of configs/miniature/STAGE.yaml (for a trial)
# Each stage is a run folder. Killed at any moment, the same command goes on where it stopped:
# finished stages are skipped. Wall time of each stage stands in DIR/seed-N/times.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=3 out=runs/miniature p2s= threads=$((($(nproc) + 1) / 2)) images=40
declare -A steps=()
for argument in "$@"; do
    case $argument in
    seeds=* | out=* | p2s=* | threads=* | images=*) declare "$argument" ;;
    steps.*=*)
        name=${argument#steps.}
        steps[${name%%=*}]=${name#*=}
        ;;
    *)
        echo "miniature.sh: unexpected \"$argument\"; expected seeds=N, out=DIR, p2s=PROGRAM," \
            "threads=N, images=N or steps.STAGE=N" >&2
        exit 2
        ;;
    esac
done
if [ -z "$p2s" ]; then
    scripts/setup.sh
    cmake --preset release -DP2S_TESTS=OFF >/dev/null
    cmake --build --preset release
    p2s=build/release/p2s
fi

# stage FOLDER CONFIG [key=value ...]: trains, goes on, or skips.
stage() {
    local run=$1 config=$2 began=$SECONDS
    shift 2
    [ -e "$run/done" ] && return
    if [ -e "$run/checkpoints/latest" ]; then
        "$p2s" train --resume "$run" "threads=$threads"
    else
        local count=${steps[$config]:-}
        "$p2s" train "configs/miniature/$config.yaml" "run=$run" "seed=$seed" "threads=$threads" \
            ${count:+"train.steps=$count"} "$@"
    fi
    echo "$(basename "$run") $((SECONDS - began))" >>"$(dirname "$run")/times.txt"
    touch "$run/done"
}

# score FOLDER MODEL [key=value ...]
score() {
    local folder=$1 model=$2 began=$SECONDS
    shift 2
    [ -e "$folder/done" ] && return
    rm -rf "$folder"
    "$p2s" eval configs/eval/miniature.yaml "model=$model" "out=$folder" "seed=$seed" \
        "threads=$threads" prompt.kind=both "limit.images=$images" "$@" >/dev/null
    echo "$(basename "$folder") $((SECONDS - began))" >>"$(dirname "$folder")/times.txt"
    touch "$folder/done"
}

# The way of the paper, and beside it what it is compared with; both go on from the auto-encoder.
main_line() {
    stage "$here/diffusion" diffusion "model=$here/vae/$last"
    stage "$here/gen2seg" gen2seg "model=$here/diffusion/$last" random_unet=false
    stage "$here/prompt2seg" prompt2seg "model=$here/gen2seg/$last"
    score "$here/eval" "$here/prompt2seg/$last"
    stage "$here/prompt2seg-both" prompt2seg "model=$here/gen2seg/$last" prompt.encoding=both
    score "$here/eval-both" "$here/prompt2seg-both/$last" "systems=$branch"
}
side_line() {
    stage "$here/gen2seg-random" gen2seg "model=$here/vae/$last" random_unet=true
    score "$here/eval-random-start" "$here/gen2seg-random/$last" systems=gen2seg,gen2seg+cc
    until [ -e "$here/gen2seg/done" ]; do
        kill -0 "$main" || return
        sleep 1
    done 2>/dev/null
    stage "$here/prompt2seg-unet" prompt2seg "model=$here/gen2seg/$last" prompt.train_unet=true
    score "$here/eval-unet" "$here/prompt2seg-unet/$last" "systems=$branch"
}

# Ends both lines, trainings with a checkpoint.
stop() {
    local line
    for line in "$main" "$side"; do
        kill "$line" 2>/dev/null || true
        pkill -INT -P "$line" || true
    done
}

last=checkpoints/latest
branch=prompt2seg,prompt2seg+map,prompt2seg+map+cc
for ((seed = 0; seed < seeds; seed++)); do
    here=$out/seed-$seed
    mkdir -p "$here"
    threads=0 stage "$here/vae" vae model=miniature
    main_line &
    main=$!
    side_line &
    side=$!
    trap stop EXIT
    wait "$main"
    wait "$side"
    trap - EXIT
done
python3 scripts/miniature_report.py "$out"
echo
cat "$out/table.md"
echo
echo "pictures $(python3 scripts/miniature_page.py "$out")"
