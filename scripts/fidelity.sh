#!/bin/sh
# SPDX-License-Identifier: MIT
# Our components beside the reference implementations: same random weights and inputs, both run
# here, forward and backward, one table. Exit code 1 when anything lies above its limit.
#
#   scripts/fidelity.sh [--seed N] [--only COMPONENT] [--json FILE] [--kernels KIND] [--jobs N]
#   scripts/fidelity.sh --list
#
# Makes its own Python environment with pinned versions (build/fidelity-venv, or $P2S_FIDELITY_VENV;
# 5 GB where only torch's CUDA wheels can be had) and builds the program (or takes $P2S_PROGRAM).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${P2S_FIDELITY_VENV:-$root/build/fidelity-venv}
wanted=$root/scripts/fidelity/requirements.txt

if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    echo "making $venv" >&2
    python=$(command -v python3.11 || command -v python3)
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --retries 0 --index-url https://download.pytorch.org/whl/cpu \
        --no-deps torch==2.2.0+cpu >/dev/null 2>&1 ||
        echo "no CPU wheels of torch here: taking the ordinary ones" >&2
    "$venv/bin/pip" install --quiet -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
fi
if [ -z "${P2S_PROGRAM:-}" ]; then
    (cd "$root" && cmake --preset release >/dev/null && cmake --build --preset release --target p2s >&2)
    P2S_PROGRAM=$root/build/release/p2s
fi
export P2S_PROGRAM OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" OMP_WAIT_POLICY=passive
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$root/scripts/fidelity/suite.py" "$@"
