#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Trains a few steps with recorded work (docs/cuda.md) and again without, and expects that all of it
# was replayed that can be, and the same bits:
# losses, norms, weights and moments, of both tasks, with one and two micro-batches a step. Of
# prompt2seg with the prompts and the loss whose steps are recorded.
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
    [ "$record" = 0 ] || record=say
    P2S_RECORD=$record "$program" train "configs/miniature/$task.yaml" model=models/miniature \
        device=cuda run="$run" train.steps="$steps" train.batch=2 train.accumulate="$parts" \
        train.warmup=2 train.first_steps=0 train.sample_every=0 train.validate_every=0 \
        "$@" --quiet 2>&1 | tee "$run.log" | sed 's/^/    /' >&2
    # Which time a step took is no result.
    sed -i 's/, "seconds".*//' "$run/metrics.jsonl"
}

declare -A trained=([gen2seg]=unet [prompt2seg]=controlnet)
for task in gen2seg prompt2seg; do
    settings=()
    [ $task = gen2seg ] || settings=(prompt.encoding=gaussian prompt.loss=prompted)
    for parts in 1 2; do
        train recorded 1 $task $parts "${settings[@]}" "$@"
        train plain 0 $task $parts "${settings[@]}" "$@"
        same=true
        for file in metrics.jsonl checkpoints/latest/optimizer.safetensors \
            checkpoints/latest/${trained[$task]}/diffusion_pytorch_model.safetensors; do
            cmp -s "$runs/recorded/$file" "$runs/plain/$file" || same=false
        done
        # The first step is watched, the second plain; then each micro-batch and the update is replayed.
        expected=$(((parts + 1) * (steps - 2)))
        replays=$(sed -n 's/^recorded work: \([0-9]*\) replays$/\1/p' "$runs/recorded.log" | tail -n 1)
        recorded=true
        if [ "${replays:-0}" -lt $expected ] || grep -q "is not recorded" "$runs/recorded.log"; then
            recorded=false
        fi
        $same && $recorded || result=1
        printf '{"case": "recording", "task": "%s", "parts": %d, "steps": %d, "replays": %d, "expected": %d, "recorded": %s, "same_bits": %s}\n' \
            $task $parts "$steps" "${replays:-0}" $expected $recorded $same
        rm -rf "$runs/recorded" "$runs/plain"
    done
done
exit $result
