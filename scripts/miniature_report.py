#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts the seeds of scripts/miniature.sh together: DIR/table.md and DIR/results.json.

    miniature_report.py DIR

Reads DIR/seed-*/eval-*/instances.jsonl. Every system's read-out was fitted on val. Intervals are
95 % bootstrap intervals: images are drawn anew (the same for all systems and seeds, which see the
same images), and seeds are drawn anew; with one seed they say nothing about seeds. Needs Python 3
alone.
"""
import collections
import glob
import json
import os
import random
import sys

ROUNDS = 1000
# folder of a seed, prefix of its rows in the table
SOURCES = [("eval", ""), ("eval-random", "random start: "), ("eval-few", "200 images: "),
           ("eval-random-few", "random start, 200 images: "), ("eval-gaussian", "Gaussian only: "),
           ("eval-unet", "Gaussian only, U-Net along: ")]
BRANCH = ["prompt2seg", "prompt2seg+map", "prompt2seg+map+cc"]


def load(folder, mark):
    """{set: {system: {seed: {image: [sum of IoU, instances]}}}} of the rows whose names end in mark."""
    scores = {}
    for seed, path in enumerate(sorted(glob.glob(os.path.join(folder, "seed-*")))):
        for source, prefix in SOURCES:
            name = os.path.join(path, source, "instances.jsonl")
            if not os.path.exists(name):  # a chain that has not come that far
                continue
            for line in open(name):
                row = json.loads(line)
                system, at, kind = row["system"].partition("@")
                if at + kind != mark or system.endswith(" fixed"):
                    continue
                images = (scores.setdefault(row["set"], {}).setdefault(prefix + system, {})
                          .setdefault(seed, {}))
                entry = images.setdefault(row["image"], [0.0, 0])
                entry[0] += row["iou"]
                entry[1] += 1
    return scores


def miou(systems, name, seeds, images):
    total = count = 0
    for seed in seeds:
        entries = systems[name][seed]
        for image in images:
            total += entries[image][0]
            count += entries[image][1]
    return total / count


def resamples(systems):
    """The draws of seeds and images of a set, the same for all of its rows."""
    first = next(iter(systems.values()))
    seeds, images = sorted(first), sorted(first[min(first)])
    draw = random.Random(0)
    yield seeds, images
    for _ in range(ROUNDS):
        yield draw.choices(seeds, k=len(seeds)), draw.choices(images, k=len(images))


def interval(values):
    ordered = sorted(values)
    return [ordered[int(0.025 * len(ordered))], ordered[int(0.975 * len(ordered))]]


def score_set(systems):
    """{system: [value, then one per resample]}"""
    draws = list(resamples(systems))
    return {name: [miou(systems, name, *draw) for draw in draws] for name in systems}


def summary(values):
    return {"miou": values[0], "ci95": interval(values[1:])}


def difference(a, b):
    values = [x - y for x, y in zip(a, b)]
    low, high = interval(values[1:])
    verdict = "above" if low > 0 else "below" if high < 0 else "not apart"
    return {"difference": values[0], "ci95": [low, high], "verdict": verdict}


def answer(scored, system, other):
    return {name: difference(rows[system], rows[other]) for name, rows in scored.items()}


def counted(answers):
    verdicts = collections.Counter(a["verdict"] for n, a in answers.items() if n != "val")
    return ", ".join(f"{word} on {verdicts[word]}" for word in ("above", "not apart", "below"))


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def score_table(scored):
    sets = list(scored)
    rows = []
    for name in scored[sets[0]]:
        cells = [summary(scored[s][name]) for s in sets]
        mean = sum(c["miou"] for s, c in zip(sets, cells) if s != "val") / (len(sets) - 1)
        rows.append([name] + ["{:.3f} [{:.3f}, {:.3f}]".format(c["miou"], *c["ci95"]) for c in cells]
                    + [f"{mean:.3f}"])
    return table(["system"] + sets + ["mean of others than val"], rows)


def claim_rows(name, answers):
    return [name] + ["{:+.3f} [{:+.3f}, {:+.3f}] {}".format(a["difference"], *a["ci95"], a["verdict"])
                     for a in answers.values()]


def points_tables(folder):
    """Lines of what several points do: the mean of the seeds, least and greatest where they differ."""
    paths = sorted(glob.glob(os.path.join(folder, "seed-*", "eval-points", "results.json")))
    seeds = [json.load(open(path))["points_to_80"] for path in paths]
    if not seeds:
        return []

    def cell(values, form):
        low, high = min(values), max(values)
        mean = form.format(sum(values) / len(values))
        return mean if low == high else mean + f" [{form.format(low)}, {form.format(high)}]"

    sets = list(seeds[0])
    systems = [name for name in seeds[0][sets[0]] if not name.endswith(" fixed")]
    lines = ["## Up to 9 points", "",
             "Each further point lies on what is still missed; mean, least and greatest of the seeds. "
             "Points until IoU 0.8 (9 where never):", ""]
    lines += table(["system"] + sets, [[name] + [cell([s[set_][name]["mean"] for s in seeds], "{:.2f}")
                                                for set_ in sets] for name in systems])
    for at in (1, 3, 9):
        lines += ["", f"mIoU at {at} point{'s' if at > 1 else ''}:", ""]
        lines += table(["system"] + sets, [[name] + [cell([s[set_][name]["miou"][at - 1] for s in seeds],
                                                          "{:.3f}") for set_ in sets]
                                           for name in systems])
    return lines + [""]


def report(folder):
    lines, results = [], {}
    times = {}
    for path in sorted(glob.glob(os.path.join(folder, "seed-*", "times.txt"))):
        times[os.path.basename(os.path.dirname(path))] = dict(line.split() for line in open(path))
    for prompts, mark, title in (("center", "", "the interior-most point"),
                                 ("random", "@random", "a random inner point")):
        scored = {name: score_set(systems) for name, systems in load(folder, mark).items()}
        branch = max(BRANCH, key=lambda name: scored["val"][name][0])
        pairs = [("a: branch - " + other, branch, other)
                 for other in ("gen2seg+cc", "disc", "gen2seg+disc", "color+cc", "color+disc")]
        pairs.append(("b: gen2seg+cc, pretrained - random start", "gen2seg+cc", "random start: gen2seg+cc"))
        if "200 images: gen2seg+cc" in scored["val"]:
            pairs.append(("b, of 200 labelled images: pretrained - random start", "200 images: gen2seg+cc",
                          "random start, 200 images: gen2seg+cc"))
        for claim, prefix in (("ablation: a Gaussian only - branch", "Gaussian only: "),
                              ("ablation: a Gaussian only, U-Net along - branch",
                               "Gaussian only, U-Net along: ")):
            rows = [prefix + name for name in BRANCH if prefix + name in scored["val"]]
            pairs += [(claim, max(rows, key=lambda name: scored["val"][name][0]), branch)] if rows else []
        claims = {claim: answer(scored, one, other) for claim, one, other in pairs}
        carried = {name: rows[branch][0] / scored["val"][branch][0] for name, rows in scored.items()}
        results[prompts] = {
            "branch_read_out": branch,
            "sets": {s: {n: summary(v) for n, v in rows.items()} for s, rows in scored.items()},
            "claims": claims,
            "c: share of the score on val": carried,
        }
        lines += [f"## One point: {title}", "", "mIoU and 95 % interval over images and seeds:", ""]
        lines += score_table(scored)
        lines += ["", f"Claims, with the branch read out as `{branch}` (the best on val):", ""]
        lines += table(["difference"] + list(scored), [claim_rows(n, a) for n, a in claims.items()])
        lines += ["", "Of the sets other than val:", ""]
        lines += [f"- {name}: {counted(answers)}" for name, answers in claims.items()]
        lines += ["- c: the branch keeps of its score on val: " +
                  ", ".join(f"{n} {v:.0%}" for n, v in carried.items() if n != "val"), ""]
    seeds = len(glob.glob(os.path.join(folder, "seed-*")))
    head = ["# The miniature", "", f"{seeds} seed(s). Read-outs were fitted on val, per seed.", ""]
    stages = list(dict.fromkeys(stage for row in times.values() for stage in row))
    tail = points_tables(folder) + ["## Wall time, seconds", ""] + table(
        ["seed"] + stages, [[n] + [row.get(s, "-") for s in stages] for n, row in times.items()])
    results["seconds"] = times
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(results, file, indent=1)
    with open(os.path.join(folder, "table.md"), "w") as file:
        file.write("\n".join(head + lines + tail) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    report(sys.argv[1])
