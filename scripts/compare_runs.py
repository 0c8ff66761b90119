#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares two runs of the same config on two devices: the losses of their steps, and, where both
kept checkpoint step-1, the gradient of every parameter at the first step, from its first moment.

    compare_runs.py RUN OTHER [--loss 1e-5] [--gradient 1e-4] [--twin TWIN]

--loss is the largest relative difference of a step's loss, --gradient that of a parameter's
gradient as root of summed squares; a parameter whose gradient is far below the largest is measured
against the largest. TWIN is RUN with other roundings on the same device: where its rounding has
taken it from RUN, OTHER may be three times as far, at a step by what was the most up to there. So
the limit grows as the training multiplies rounding, and not by guess (scripts/fidelity/training.py,
trajectory). Prints one JSON object; exit code 1 when a limit is passed. Needs nothing but Python.
"""
import argparse
import array
import json
import math
import os
import struct
import sys


def losses(run):
    with open(os.path.join(run, "metrics.jsonl")) as lines:
        rows = [json.loads(line) for line in lines]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def tensors(path):
    """Name -> array of floats, of the f32 tensors of a safetensors file."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        base, result = 8 + size, {}
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] != "F32":
                continue
            begin, end = entry["data_offsets"]
            file.seek(base + begin)
            values = array.array("f")
            values.frombytes(file.read(end - begin))
            result[name] = values
    return result


def norm(values):
    return math.sqrt(math.fsum(v * v for v in values))


def gradients(run):
    path = os.path.join(run, "checkpoints", "step-1", "optimizer.safetensors")
    if not os.path.exists(path):
        return None
    moments = {name: values for name, values in tensors(path).items() if name.startswith("m.")}
    return moments or None


def compare_gradients(one, other):
    if set(one) != set(other):
        sys.exit("compare_runs: the runs trained different parameters")
    largest = max((norm(values) / math.sqrt(len(values)) for values in one.values()), default=0)
    worst, where = 0, ""
    for name, values in one.items():
        difference = norm([a - b for a, b in zip(values, other[name])])
        floor = 1e-3 * largest * math.sqrt(len(values))
        error = difference / max(norm(values), floor, 1e-30)
        if error != error:
            return error, name
        if error > worst:
            worst, where = error, name
    return worst, where


def loss_errors(one, other):
    """Of every step: the relative difference; infinite where it is no number."""
    errors = {}
    for step, loss in one.items():
        error = abs(loss - other[step]) / max(abs(loss), 1e-30)
        errors[step] = error if error == error else math.inf
    return errors


def read_losses(run, steps=None):
    found = losses(run)
    if not found or (steps is not None and set(found) != steps):
        sys.exit(f"compare_runs: {run} has {len(found)} steps" + (f", not {len(steps)}" if steps else ""))
    return found


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("run")
    parser.add_argument("other")
    parser.add_argument("--loss", type=float, default=1e-5)
    parser.add_argument("--gradient", type=float, default=1e-4)
    parser.add_argument("--twin")
    a = parser.parse_args()
    one = read_losses(a.run)
    errors = loss_errors(one, read_losses(a.other, set(one)))
    drifts = loss_errors(one, read_losses(a.twin, set(one))) if a.twin else {}
    drift, most, step = 0, -1, 0
    for s in sorted(errors):  # the step that is nearest to its limit, or farthest beyond
        drift = max(drift, drifts.get(s, 0))
        share = errors[s] / max(a.loss, 3 * drift)
        if share > most:
            most, step, limit = share, s, max(a.loss, 3 * drift)
    last = max(errors)
    row = {"case": "runs", "run": a.run, "other": a.other, "steps": len(errors), "loss_error": errors[step],
           "loss_error_step": step, "loss_limit": limit, "first_loss_error": errors[min(errors)],
           "last_loss_error": errors[last]}
    if drifts:
        row.update(twin_first_loss_error=drifts[min(drifts)], twin_last_loss_error=drifts[last], twin_loss_error=drift)
    good = most <= 1
    mine, theirs = gradients(a.run), gradients(a.other)
    if mine and theirs:
        worst, where = compare_gradients(mine, theirs)
        limit = a.gradient
        if a.twin:
            spread = compare_gradients(mine, gradients(a.twin))[0]
            limit = max(limit, 3 * spread)
            row["twin_gradient_error"] = spread
        row.update(parameters=len(mine), gradient_error=worst, gradient_error_of=where, gradient_limit=limit)
        good = good and worst <= limit
    row["ok"] = bool(good)
    print(json.dumps(row))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
