#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The main job on the built-in world: sets up, builds, scores gen2seg with post-hoc prompting,
# Prompt2Seg and the trivial rows on the same prompts with the small trained model that is part of the
# project, trains its prompt branch once more from the beginning, live, scores that one too, and draws
# pages of pictures.
#   scripts/demo.sh [seed=N] [out=DIR] [steps=N]     default seed=0 out=runs/demo steps=2000
# Writes DIR/results.json, DIR/table.md and DIR/pages/*.png, the same under DIR/live for the branch
# that was trained live, and its run folder DIR/prompt2seg; a DIR that exists is refused.
set -euo pipefail
cd "$(dirname "$0")/.."

seed=0 out=runs/demo steps=2000
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

p2s=build/release/p2s
mkdir -p "$out"
began=$SECONDS
$p2s eval configs/eval/miniature.yaml "out=$out" "seed=$seed"
$p2s train configs/miniature/prompt2seg.yaml "run=$out/prompt2seg" "seed=$seed" "train.steps=$steps"
$p2s eval configs/eval/miniature.yaml "model=$out/prompt2seg/checkpoints/latest" "out=$out/live" \
    "seed=$seed" systems=prompt2seg,disc
worked=$((SECONDS - began))

echo
echo "The trained model of models/miniature:"
cat "$out/table.md"
echo
echo "Its branch, trained live from the beginning for $steps steps:"
cat "$out/live/table.md"
echo
echo "set-up ${set_up} s, build ${built} s, work ${worked} s"
echo "numbers   $out/results.json, $out/table.md; live: $out/live"
echo "pictures  $out"/pages/*.png
