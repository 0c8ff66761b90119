#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replays the recorded answers of the reference implementations (tests/fixtures/run: blocks, losses,
whole training steps with every gradient, AdamW) through `p2s run` on a device.

    check_fixtures.py PROGRAM [--device cuda] [NAME ...]

NAME are fixtures without .safetensors; default: all that a device computes. The limits are those of
the tests on the CPU: a part of 1e-5 of an output's size, 1e-4 of a gradient's, as root of mean
squares. Prints a JSON object per fixture; exit code 1 when a limit is passed. Needs nothing
but Python.
"""
import argparse
import array
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures", "run")
DEVICE = ("block.", "loss.", "step.", "adamw", "normalise", "v_to_x0")
CODES = {"F32": "f", "F64": "d", "I32": "i", "U8": "B"}


def read(path):
    """(metadata, {name: (dtype, shape, bytes)})"""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(size)), file.read()
    metadata = header.pop("__metadata__", {})
    return metadata, {name: (e["dtype"], e["shape"], data[slice(*e["data_offsets"])])
                      for name, e in header.items()}


def write(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def numbers(tensor):
    return array.array(CODES[tensor[0]], tensor[2])


def rms(values):
    return math.sqrt(math.fsum(v * v for v in values) / max(1, len(values)))


def limit_of(fixture, name, size):
    if not name.startswith("out.grad."):
        return 1e-5 * size
    weight = name[:-4] + "weight" if name.endswith(".bias") else name
    layer = rms(numbers(fixture.get(weight, fixture[name])))
    return 1e-4 * max(size, layer * (1e-2 if size <= 2e-6 * layer else 1e-3))


def share_of_limit(fixture, name, answer):
    """How much of its limit an output is off by; infinite when it is another tensor or not finite."""
    if answer is None or answer[:2] != fixture[name][:2]:
        return math.inf
    expected, found = numbers(fixture[name]), numbers(answer)
    error = rms([a - b for a, b in zip(expected, found)])
    if not math.isfinite(error):
        return math.inf
    return error / max(limit_of(fixture, name, rms(expected)), 1e-30)


def replay(program, device, name, folder):
    """(the largest share of its limit that an output is off by, its name, how many outputs)"""
    metadata, fixture = read(os.path.join(FIXTURES, name + ".safetensors"))
    before, after = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
    write(before, {n[3:]: t for n, t in fixture.items() if n.startswith("in.")})
    words = metadata["run"].split()
    subprocess.run([program, "run", words[0], before, after, *words[1:], "--device", device],
                   check=True, cwd=FIXTURES, stdout=sys.stderr)
    answer, worst, where, count = read(after)[1], -1.0, "", 0
    for tensor in fixture:
        if not tensor.startswith("out."):
            continue
        share = share_of_limit(fixture, tensor, answer.get(tensor[4:]))
        if share > worst:
            worst, where = share, tensor
        count += 1
    return worst, where, count


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--device", default="cuda")
    a = parser.parse_intermixed_args()
    program = os.path.abspath(a.program)
    names = a.names or sorted(f[:-12] for f in os.listdir(FIXTURES)
                              if f.endswith(".safetensors") and f.startswith(DEVICE))
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            try:
                worst, where, count = replay(program, a.device, name, folder)
            except subprocess.CalledProcessError as error:
                worst, where, count = math.inf, f"exit code {error.returncode}", 0
            ok = worst <= 1
            failed += not ok
            print(json.dumps({"case": "fixture", "name": name, "outputs": count, "of_limit":
                              worst if math.isfinite(worst) else "inf", "where": where,
                              "ok": ok}), flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
