#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows a chain of scripts/miniature.sh to a newcomer: one page, DIR/page.html, that needs no other
file.

    miniature_page.py DIR

For the first seed: what every stage learned (the last sample picture of its run), how its loss fell
(metrics.jsonl), then best, median and worst masks of every set, and the table. Needs Python 3 alone.
"""
import base64
import glob
import html
import json
import math
import os
import sys

# run folder, what a reader sees in its pictures
STAGES = [
    ("vae", "The auto-encoder. Left a scene (in turn a colour map), beside it what comes back from "
            "16x16x4 numbers: everything that follows is painted through it."),
    ("diffusion", "Diffusion pretraining, without labels: from a noisy latent the U-Net tells the "
                  "clean image."),
    ("gen2seg", "gen2seg: image, its answer, and the instances. Each object shall have one colour "
                "of its own, the background black."),
    ("gen2seg-random", "The same from a random U-Net."),
    ("gen2seg-few", "From the pretrained U-Net again, with 200 labelled images."),
    ("gen2seg-random-few", "The same 200 images from a random U-Net."),
    ("prompt2seg", "The prompt branch on the frozen gen2seg: image, prompt, answer, and the "
                   "instances. The prompted object shall be white. The prompt is a Gaussian at the "
                   "point and how alike gen2seg's own colours are to that at the point."),
    ("prompt2seg-gaussian", "The same branch shown the Gaussian alone."),
    ("prompt2seg-unet", "That with the U-Net trained along: not Prompt2Seg, whose model is frozen."),
]
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 180, 52, 24
POINTS = 160


def picture(path, width):
    data = base64.b64encode(open(path, "rb").read()).decode()
    return f'<img src="data:image/png;base64,{data}" width="{width}" alt="{html.escape(path)}">'


def step_of(path):
    return int(os.path.basename(path).split("-")[1].split(".")[0])


def losses(run):
    """[(step, mean loss of the steps since the one before)], at most POINTS of them."""
    lines = open(os.path.join(run, "metrics.jsonl")).read().split("\n")[:-1]  # the last may be half written
    rows = [(row["step"], row["loss"]) for row in map(json.loads, lines) if "loss" in row]
    each = max(1, math.ceil(len(rows) / POINTS))
    groups = [rows[i:i + each] for i in range(0, len(rows), each)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


def curve(points):
    """Loss over steps as SVG, the loss on a logarithmic axis."""
    steps = points[-1][0]
    low, high = (math.log10(f(loss for _, loss in points)) for f in (min, max))
    span = max(high - low, 1e-6)

    def place(step, loss):
        x = LEFT + (WIDTH - LEFT - 8) * step / steps
        y = 8 + (HEIGHT - BOTTOM - 8) * (high - math.log10(loss)) / span
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(*point) for point in points)
    texts = [(2, 16, f"{10 ** high:.3g}"), (2, HEIGHT - BOTTOM, f"{10 ** low:.3g}"),
             (LEFT, HEIGHT - 6, "step 0"), (WIDTH - 90, HEIGHT - 6, f"step {steps}")]
    labels = "".join(f'<text x="{x}" y="{y}" font-size="12">{text}</text>' for x, y, text in texts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
            f'<rect x="{LEFT}" y="8" width="{WIDTH - LEFT - 8}" height="{HEIGHT - BOTTOM - 8}" '
            'fill="none" stroke="#bbb"/>'
            f'<polyline points="{line}" fill="none" stroke="#24c" stroke-width="1.5"/>{labels}</svg>')


def stage(run, text):
    parts = [f"<h2>{html.escape(os.path.basename(run))}</h2><p>{html.escape(text)}</p>"]
    samples = sorted(glob.glob(os.path.join(run, "samples", "step-*.png")), key=step_of)
    points = losses(run)
    if points:
        parts += ["<p>Loss, mean over steps, logarithmic:</p>", curve(points)]
    for path in samples[:1] + samples[-1:]:
        parts.append(f"<p>After step {step_of(path)}:</p>" + picture(path, 640))
    return "\n".join(parts)


def page(folder):
    first = sorted(glob.glob(os.path.join(folder, "seed-*")))[0]
    parts = ["<!doctype html><meta charset='utf-8'><title>The miniature</title>",
             "<style>body{font:16px sans-serif;max-width:1100px;margin:2em auto}"
             "img{image-rendering:pixelated}</style>",
             "<h1>Prompt2Seg in miniature, from nothing</h1>",
             "<p>Every network here was trained from random weights, on drawn scenes, on a CPU. "
             "The numbers are in the table at the end; nothing on this page claims more.</p>"]
    for name, text in STAGES:
        run = os.path.join(first, name)
        if os.path.exists(os.path.join(run, "metrics.jsonl")):
            parts.append(stage(run, text))
    parts.append("<h1>Masks: best, median, worst</h1><p>Each picture is one set; val is drawn like "
                 "the training scenes, each other one differs in what its name says.</p>")
    for path in sorted(glob.glob(os.path.join(first, "eval", "pages", "*.png"))):
        name = os.path.splitext(os.path.basename(path))[0]
        parts.append(f"<h2>{html.escape(name)}</h2>" + picture(path, 1000))
    table = os.path.join(folder, "table.md")
    if os.path.exists(table):
        parts.append(f"<h1>Table</h1><pre>{html.escape(open(table).read())}</pre>")
    return "\n".join(parts)


def main():
    if len(sys.argv) != 2 or not glob.glob(os.path.join(sys.argv[1], "seed-*")):
        sys.exit("usage: miniature_page.py DIR, which holds seed-0, seed-1, ...")
    path = os.path.join(sys.argv[1], "page.html")
    with open(path, "w") as file:
        file.write(page(sys.argv[1]))
    print(path)


if __name__ == "__main__":
    main()
