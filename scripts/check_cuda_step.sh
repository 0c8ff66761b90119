#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The same training on the CPU and on the CUDA back end of one program: losses of every step, and
# the gradient of every parameter at the first. The networks are the miniature ones, in f32; the losses
# those of the paper, through the decoder.
#   scripts/check_cuda_step.sh PROGRAM [STEPS] [key=value ...]
# PROGRAM is p2s on a machine with a GPU, or build/release/p2s-emulated anywhere. STEPS defaults to
# 2. Prints a JSON object per task; exit code 1 when they differ too much. P2S_KEEP=DIR keeps the
# runs there.
# Rounding differs, and each step works on the last one's difference. How far that takes a run the
# CPU shows by itself, with the kernels of another instruction set: scripts/compare_runs.py.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:?usage: check_cuda_step.sh PROGRAM [STEPS] [key=value ...]}
steps=${2:-2}
shift $(($# > 2 ? 2 : $#))
runs=${P2S_KEEP:-$(mktemp -d)}
[ -n "${P2S_KEEP:-}" ] || trap 'rm -rf "$runs"' EXIT
mkdir -p "$runs"
result=0
for task in gen2seg prompt2seg; do
    for run in cpu twin cuda; do
        device=$run isa=${P2S_ISA:-}
        [ $run != twin ] || { device=cpu isa=portable; }
        rm -rf "${runs:?}/$task-$run"
        P2S_ISA=$isa "$program" train "configs/miniature/$task.yaml" model=models/miniature device=$device \
            run="$runs/$task-$run" train.steps="$steps" train.batch=2 train.accumulate=1 \
            train.first_steps=0 prompt.encoding=gaussian prompt.loss=prompted \
            train.checkpoint_every=1 train.keep=64 train.sample_every=0 train.validate_every=0 \
            "$@" --quiet >&2 || exit 1
    done
    python3 scripts/compare_runs.py "$runs/$task-cpu" "$runs/$task-cuda" --twin "$runs/$task-twin" || result=1
done
exit $result
