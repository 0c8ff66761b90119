#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares two runs of the same config on two devices: the losses of their steps, and, where both
kept checkpoint step-1, the gradient of every parameter at the first step, from its first moment.

    compare_runs.py RUN OTHER [--loss 1e-4] [--gradient 1e-3] [--from-step 1]

--loss is the largest relative difference of a step's loss, --gradient that of a parameter's
gradient as root of summed squares; a parameter whose gradient is far below the largest is measured
against the largest. Prints one JSON object; exit code 1 when a limit is passed. Needs nothing but
Python.
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


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("run")
    parser.add_argument("other")
    parser.add_argument("--loss", type=float, default=1e-4)
    parser.add_argument("--gradient", type=float, default=1e-3)
    parser.add_argument("--from-step", type=int, default=1)
    a = parser.parse_args()
    one, other = losses(a.run), losses(a.other)
    steps = sorted(set(one) & set(other))
    if not steps or set(one) != set(other):
        sys.exit(f"compare_runs: {len(one)} and {len(other)} steps, {len(steps)} of them the same")
    errors = {s: abs(one[s] - other[s]) / max(abs(one[s]), 1e-30) for s in steps if s >= a.from_step}
    step = max(errors, key=lambda s: errors[s] if errors[s] == errors[s] else math.inf)
    row = {"case": "runs", "run": a.run, "other": a.other, "steps": len(steps),
           "loss_error": errors[step], "loss_error_step": step, "loss_limit": a.loss,
           "first_loss_error": errors.get(1), "last_loss_error": errors[steps[-1]]}
    good = errors[step] <= a.loss
    mine, theirs = gradients(a.run), gradients(a.other)
    if mine and theirs:
        worst, where = compare_gradients(mine, theirs)
        row.update(parameters=len(mine), gradient_error=worst, gradient_error_of=where,
                   gradient_limit=a.gradient)
        good = good and worst <= a.gradient
    row["ok"] = bool(good)
    print(json.dumps(row))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
