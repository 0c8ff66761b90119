#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The paper in miniature, from nothing: auto-encoder, diffusion pretraining, gen2seg from the
# pretrained and from a random U-Net, the Prompt2Seg branch on the frozen result, and every system on
# the same prompts of eight sets. Ablations: gen2seg with 200 labelled images, the branch with a
# Gaussian alone as its prompt, without and with the U-Net trained along.
#   scripts/miniature.sh [seeds=N] [out=DIR] [p2s=PROGRAM] [threads=N] [images=N] [steps.CONFIG=N]
#     seeds=3              independent repetitions, seeds 0..N-1
#     ablations=1          how many of them, from the first on, have the ablations
#     out=runs/miniature   one folder per seed, table.md, results.json, page.html (the pictures)
#     p2s=...              a built program; without it the release preset is built
#     threads=N            of the two commands that run at a time; default half the processors
#     images=100           scored of each set
#     steps.CONFIG=N       in each stage of configs/miniature/CONFIG.yaml (for a trial)
# Each stage is a run folder. Killed at any moment, the same command goes on where it stopped:
# finished stages are skipped. Wall time of each stage stands in DIR/seed-N/times.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=3 ablations=1 out=runs/miniature p2s= threads=$((($(nproc) + 1) / 2)) images=100
declare -A steps=()
for argument in "$@"; do
    case $argument in
    seeds=* | ablations=* | out=* | p2s=* | threads=* | images=*) declare "$argument" ;;
    steps.*=*)
        name=${argument#steps.}
        steps[${name%%=*}]=${name#*=}
        ;;
    *)
        echo "miniature.sh: unexpected \"$argument\"; expected seeds=N, ablations=N, out=DIR," \
            "p2s=PROGRAM, threads=N, images=N or steps.CONFIG=N" >&2
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
            "$@" ${count:+"train.steps=$count"}
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
        "threads=$threads" prompt.kind=both "limit.images=$images" limit.instances=0 "$@" >/dev/null
    echo "$(basename "$folder") $((SECONDS - began))" >>"$(dirname "$folder")/times.txt"
    touch "$folder/done"
}

# await FOLDER: until the main line is through with that stage; fails when it ended without.
await() {
    until [ -e "$1/done" ]; do
        kill -0 "$main" 2>/dev/null || [ -e "$1/done" ] || return
        sleep 1
    done
}

# The way of the paper, and beside it what it is compared with; both go on from the auto-encoder.
main_line() {
    stage "$here/diffusion" diffusion "model=$here/vae/$last"
    stage "$here/gen2seg" gen2seg "model=$here/diffusion/$last" random_unet=false
    stage "$here/prompt2seg" prompt2seg "model=$here/gen2seg/$last"
    score "$here/eval" "$here/prompt2seg/$last"
    score "$here/eval-points" "$here/prompt2seg/$last" prompt.kind=center prompt.points=9 \
        systems=prompt2seg,gen2seg+cc,color+cc,disc limit.instances=100
}
side_line() {
    local few=(data.count=200 train.steps=3000 train.first_steps=2000) rows=systems=gen2seg,gen2seg+cc
    stage "$here/gen2seg-random" gen2seg "model=$here/vae/$last" random_unet=true
    score "$here/eval-random" "$here/gen2seg-random/$last" "$rows"
    ((seed < ablations)) || return 0
    stage "$here/gen2seg-random-few" gen2seg "model=$here/vae/$last" random_unet=true "${few[@]}"
    score "$here/eval-random-few" "$here/gen2seg-random-few/$last" "$rows"
    await "$here/diffusion" || return
    stage "$here/gen2seg-few" gen2seg "model=$here/diffusion/$last" random_unet=false "${few[@]}"
    score "$here/eval-few" "$here/gen2seg-few/$last" "$rows"
    await "$here/gen2seg" || return
    stage "$here/prompt2seg-gaussian" prompt2seg "model=$here/gen2seg/$last" \
        prompt.encoding=gaussian
    score "$here/eval-gaussian" "$here/prompt2seg-gaussian/$last" "systems=$branch"
    stage "$here/prompt2seg-unet" prompt2seg "model=$here/gen2seg/$last" prompt.encoding=gaussian \
        prompt.train_unet=true
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
