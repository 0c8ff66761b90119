#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The same program on lesser processors: predicts with models/miniature under every instruction set
# that this processor has and compares the masks, with oneDNN held to AVX2 for the lower ones. Then
# P2S_ISA and P2S_CHOICES with values that cannot be followed, and resumes under another of either.
# Exit code 1 when a mask differs or something is not refused. Half a minute.
#   check_isa.sh [p2s=build/release/p2s]
set -uo pipefail
# shellcheck source=scripts/refused.sh
. "$(dirname "$0")/refused.sh"
model=$root/models/miniature config=$configs/gen2seg.yaml
unset P2S_ISA P2S_CHOICES ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA

"$p2s" prepare scenes shapes --split shapes --count 3 >/dev/null || exit 1

# predict SET: three images, mask and feature image each, in the folder SET.
predict() {
    local image start=$SECONDS
    mkdir "$1"
    for image in shapes/images/*.png; do
        "$p2s" predict --model "$model" --image "$image" --point 30,30 --out "$1/$(basename "$image")" \
            --features "$1/features-$(basename "$image")" 2>err || wrong "$1: $(cat err)"
    done
    echo "$1: $((SECONDS - start)) s"
}

# available SET: whether this processor has it.
available() {
    [ "$1" = portable ] || P2S_ISA=$1 "$p2s" check group_norm >/dev/null 2>&1
}

predict usual
for set in avx512 avx2 portable; do
    if available $set; then
        [ $set = avx512 ] || export ONEDNN_MAX_CPU_ISA=AVX2
        P2S_ISA=$set predict $set
        for image in shapes/images/*.png; do
            cmp "usual/$(basename "$image")" "$set/$(basename "$image")" ||
                wrong "another mask with P2S_ISA=$set"
        done
    else
        echo "SKIP $set: not on this processor"
    fi
done
unset ONEDNN_MAX_CPU_ISA

predict=("$p2s" predict --model "$model" --image shapes/images/000000.png --point 30,30 --out no.png)
refused "unknown instructions" "P2S_ISA=sse9|portable, avx2 or avx512" \
    env P2S_ISA=sse9 "${predict[@]}"
refused "no such table" "nowhere.txt" env P2S_CHOICES=nowhere.txt "${predict[@]}"
echo "winograd sideways" >table.txt
refused "a table that is none" "table.txt:1|bench tune" env P2S_CHOICES=table.txt "${predict[@]}"
absent no.png

tiny=(model=miniature seed=1 threads=2 train.batch=1 train.checkpoint_every=1 train.sample_every=0
    data.count=4 data.height=32 data.width=32 predict.resolution=32 data.set=scenes)
P2S_ISA=portable "$p2s" train --quiet "$config" "${tiny[@]}" run=run train.steps=1 2>err ||
    wrong "the run failed: $(cat err)"
echo "# nothing else than usual" >table.txt
refused "a table that the run did not have" "portable|choices|P2S_CHOICES" \
    env P2S_ISA=portable P2S_CHOICES=table.txt "$p2s" train --resume run train.steps=2
if available avx2; then
    refused "other instructions than the run's" "portable|avx2|P2S_ISA" \
        env P2S_ISA=avx2 "$p2s" train --resume run train.steps=2
fi
refused "another library path than the run's" "portable|oneDNN at most AVX|ONEDNN_MAX_CPU_ISA" \
    env P2S_ISA=portable ONEDNN_MAX_CPU_ISA=AVX "$p2s" train --resume run train.steps=2
P2S_ISA=portable "$p2s" train --quiet --resume run train.steps=2 2>err ||
    wrong "it cannot go on with its own: $(cat err)"
echo "$cases refusals, $failed failed"
[ "$failed" -eq 0 ]
