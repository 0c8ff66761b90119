#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Trains a few steps with recorded work (docs/cuda.md) and again without, and expects the same bits:
# losses, norms, weights and moments, of both tasks, with one and two micro-batches a step.
#   scripts/check_recording.sh PROGRAM [STEPS] [key=value ...]
# PROGRAM is p2s on a machine with a GPU, or p2s-emulated anywhere. STEPS defaults to 8.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:?usage: check_recording.sh PROGRAM [STEPS] [key=value ...]}
steps=${2:-8}
shift $(($# > 2 ? 2 : $#))
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
result=0

train() { # NAME RECORD TASK PARTS key=value...
    local run=$runs/$1 record=$2 task=$3 parts=$4
    shift 4
    P2S_RECORD=$record "$program" train "configs/miniature/$task.yaml" model=models/miniature \
        device=cuda run="$run" train.steps="$steps" train.batch=2 train.accumulate="$parts" \
        train.warmup=2 train.first_steps=0 train.sample_every=0 train.validate_every=0 \
        "$@" --quiet 2>&1 | sed 's/^/    /' >&2
    # Which time a step took is no result.
    sed -i 's/, "seconds".*//' "$run/metrics.jsonl"
}

for task in gen2seg prompt2seg; do
    for parts in 1 2; do
        train recorded 1 $task $parts "$@"
        train plain 0 $task $parts "$@"
        same=true
        for file in metrics.jsonl checkpoints/latest/optimizer.safetensors \
            checkpoints/latest/unet/diffusion_pytorch_model.safetensors; do
            cmp -s "$runs/recorded/$file" "$runs/plain/$file" || same=false
        done
        $same || result=1
        printf '{"case": "recording", "task": "%s", "parts": %d, "steps": %d, "same_bits": %s}\n' \
            $task $parts "$steps" $same
        rm -rf "$runs/recorded" "$runs/plain"
    done
done
exit $result
