#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The main job on the built-in world: sets up, builds, trains the prompt branch live on
# the small gen2seg model that is part of the project, scores gen2seg with post-hoc prompting,
# Prompt2Seg and the trivial rows on the same prompts, and draws a page of pictures.
#   scripts/demo.sh [seed=N] [out=DIR] [steps=N]     default seed=0 out=runs/demo steps=3000
# Writes DIR/results.json, DIR/table.md and DIR/pages/*.png; a DIR that exists is refused.
set -euo pipefail
cd "$(dirname "$0")/.."

seed=0 out=runs/demo steps=3000
for argument in "$@"; do
    case $argument in
    seed=* | out=* | steps=*) declare "${argument%%=*}=${argument#*=}" ;;
    *)
        echo "demo.sh: unexpected \"$argument\"; expected seed=N, out=DIR, steps=N" >&2
        exit 2
        ;;
    esac
done
if [ -e "$out" ]; then
    echo "demo.sh: $out exists; remove it or choose another out=DIR" >&2
    exit 1
fi

began=$SECONDS
scripts/setup.sh
set_up=$((SECONDS - began))

began=$SECONDS
cmake --preset release -DP2S_TESTS=OFF >/dev/null
cmake --build --preset release
built=$((SECONDS - began))

began=$SECONDS
mkdir -p "$out"
p2s=build/release/p2s
$p2s train configs/miniature/prompt2seg.yaml "run=$out/prompt2seg" "seed=$seed" "train.steps=$steps"
trained=$((SECONDS - began))
$p2s eval configs/eval/miniature.yaml "model=$out/prompt2seg/checkpoints/latest" "out=$out" "seed=$seed"

echo
cat "$out/table.md"
echo
echo "set-up ${set_up} s, build ${built} s, training ${trained} s, scoring $((SECONDS - began - trained)) s"
echo "numbers   $out/results.json, $out/table.md"
echo "pictures  $out"/pages/*.png
