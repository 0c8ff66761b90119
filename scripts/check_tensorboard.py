#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the event file of a run with TensorBoard's own reader and compares every curve with
metrics.jsonl and validation.jsonl, and every picture with samples/: same steps, same values, none
twice.

    check_tensorboard.py RUN

Without the Python package tensorboard it says so ("SKIP ...") and ends with 0.
"""
import glob
import json
import os
import struct
import sys

try:
    from tensorboard.backend.event_processing import event_accumulator
except ImportError:
    print("SKIP TensorBoard's reader: no Python package tensorboard (pip install tensorboard)")
    sys.exit(0)


def float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [json.loads(line) for line in file]


def expected_curves(run):
    curves = {}
    for row in lines(run + "/metrics.jsonl"):
        for key in ("loss", "lr", "grad_norm", "images_per_second"):
            curves.setdefault("train/" + key, []).append((row["step"], row[key]))
    for row in lines(run + "/validation.jsonl"):
        curves.setdefault("validation/score", []).append((row["step"], row["score"]))
        for name, systems in row["sets"].items():
            for system, score in systems.items():
                key = "miou" if "miou" in score else "psnr"
                tag = "validation/%s/%s" % (name, system if key == "miou" else key)
                curves.setdefault(tag, []).append((row["step"], score[key]))
    return curves


def same(found, expected):
    # The logs are decimal, with 9 or 4 digits.
    return len(found) == len(expected) and all(
        a.step == step and abs(a.value - float32(value)) <= 1e-3 * abs(value)
        for a, (step, value) in zip(found, expected))


def main(run):
    size = {event_accumulator.SCALARS: 0, event_accumulator.IMAGES: 0}
    events = event_accumulator.EventAccumulator(run, size_guidance=size, purge_orphaned_data=False)
    events.Reload()
    tags, curves, wrong = events.Tags(), expected_curves(run), 0
    for tag in sorted(set(curves) | set(tags["scalars"])):
        found = events.Scalars(tag) if tag in tags["scalars"] else []
        if same(found, curves.get(tag, [])):
            print("  %-28s %4d values, as in the log" % (tag, len(found)))
        else:
            print("  %-28s WRONG: %d values, the log has %d" %
                  (tag, len(found), len(curves.get(tag, []))))
            wrong += 1
    pictures = {}
    for tag in tags["images"]:
        pictures.update({image.step: image for image in events.Images(tag)})
    files = glob.glob(run + "/samples/step-*.png")
    for path in files:
        step = int(path.rsplit("-", 1)[1][:-4])
        with open(path, "rb") as file:
            if step in pictures and pictures[step].encoded_image_string == file.read():
                continue
        print("  picture of step %d is not in the event file" % step)
        wrong += 1
    print("  %d pictures" % len(pictures))
    return 1 if wrong or not curves else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_tensorboard.py RUN")
    sys.exit(main(sys.argv[1]))
