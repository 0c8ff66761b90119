#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts the seeds of scripts/miniature.sh together: DIR/table.md and DIR/results.json.

    miniature_report.py DIR

Reads DIR/seed-*/eval*/instances.jsonl, as far as the chain has come; every system's read-out was
fitted on val. An interval is the mean over seeds, plus and minus the root of the sum of two squares:
Student's t (97.5 %) times the standard error over seeds, and 1.96 times the standard deviation of
1,000 bootstrap draws of the images, which are the same for all systems and seeds. (Drawing seeds
anew as well would be too narrow with as few as three.) With one seed it is of images only. Needs
Python 3 alone.
"""
import collections
import glob
import json
import math
import os
import random
import statistics
import sys

ROUNDS = 1000
# Student's t, 97.5 %, of 1, 2, ... degrees of freedom; the last for more
STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
# folder of a seed, prefix of its rows in the table
SOURCES = [("eval", ""), ("eval-random", "random start: "), ("eval-few", "200 images: "),
           ("eval-random-few", "random start, 200 images: "), ("eval-gaussian", "Gaussian only: "),
           ("eval-unet", "Gaussian only, U-Net along: ")]
BRANCH = ["prompt2seg", "prompt2seg+map", "prompt2seg+map+cc"]


def load(folder, mark):
    """{set: {system: {seed: {image: [sum of IoU, instances]}}}} of the rows whose names end in mark."""
    scores = {}
    for path in sorted(glob.glob(os.path.join(folder, "seed-*"))):
        seed = path.rpartition("-")[2]
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


def score_set(systems):
    """{system: {seed: [mIoU, then one per draw of images]}}, the same draws for all."""
    images = sorted(next(iter(next(iter(systems.values())).values())))
    draw = random.Random(0)
    draws = [range(len(images))] + [draw.choices(range(len(images)), k=len(images))
                                    for _ in range(ROUNDS)]
    scored = {}
    for name, seeds in systems.items():
        for seed, entries in seeds.items():
            sums, counts = zip(*(entries[image] for image in images))
            scored.setdefault(name, {})[seed] = [
                sum([sums[i] for i in drawn]) / sum([counts[i] for i in drawn]) for drawn in draws]
    return scored


def mean(values):
    return statistics.fmean(of_seed[0] for of_seed in values.values())


def interval(values):
    """Of {seed: [value, then one per draw]}."""
    seeds, count = [of_seed[0] for of_seed in values.values()], len(values)
    over_images = statistics.stdev(map(statistics.fmean, zip(*(v[1:] for v in values.values()))))
    over_seeds = 0
    if count > 1:
        student = STUDENT[min(count - 1, len(STUDENT)) - 1]
        over_seeds = student * statistics.stdev(seeds) / math.sqrt(count)
    half = math.hypot(over_seeds, 1.96 * over_images)
    return [mean(values) - half, mean(values) + half]


def summary(values):
    return {"miou": mean(values), "ci95": interval(values),
            "seeds": {str(seed): of_seed[0] for seed, of_seed in values.items()}}


def difference(a, b):
    """Over the seeds that both have."""
    values = {seed: [x - y for x, y in zip(a[seed], b[seed])] for seed in a if seed in b}
    low, high = interval(values)
    verdict = "above" if low > 0 else "below" if high < 0 else "not apart"
    return {"difference": mean(values), "ci95": [low, high], "verdict": verdict,
            "seeds": {str(seed): of_seed[0] for seed, of_seed in values.items()}}


def answer(scored, system, other):
    return {name: difference(rows[system], rows[other]) for name, rows in scored.items()}


def counted(answers):
    verdicts = collections.Counter(a["verdict"] for n, a in answers.items() if n != "val")
    return ", ".join(f"{word} on {verdicts[word]}" for word in ("above", "not apart", "below"))


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def with_seeds(name, values, most):
    """The name of a row, with the number of its seeds where others have more."""
    return name if len(values) == most else f"{name} ({len(values)} seed{'s'[:len(values) > 1]})"


def score_table(scored):
    sets = list(scored)
    most = max(map(len, scored[sets[0]].values()))
    rows = []
    for name in scored[sets[0]]:
        cells = [summary(scored[s][name]) for s in sets]
        others = statistics.fmean(c["miou"] for s, c in zip(sets, cells) if s != "val")
        rows.append([with_seeds(name, scored[sets[0]][name], most)] +
                    ["{:.3f} [{:.3f}, {:.3f}]".format(c["miou"], *c["ci95"]) for c in cells] +
                    [f"{others:.3f}"])
    return table(["system"] + sets + ["mean of others than val"], rows)


def claim_rows(name, answers, most):
    return [with_seeds(name, answers["val"]["seeds"], most)] + [
        "{:+.3f} [{:+.3f}, {:+.3f}] {}".format(a["difference"], *a["ci95"], a["verdict"])
        for a in answers.values()]


def points_tables(folder):
    """Lines of what several points do: the mean of the seeds, least and greatest where they differ."""
    paths = sorted(glob.glob(os.path.join(folder, "seed-*", "eval-points", "results.json")))
    seeds = [json.load(open(path))["points_to_80"] for path in paths]
    if not seeds:
        return []

    def cell(values, form):
        low, high = min(values), max(values)
        middle = form.format(statistics.fmean(values))
        return middle if low == high else middle + f" [{form.format(low)}, {form.format(high)}]"

    sets = list(seeds[0])
    systems = [name for name in seeds[0][sets[0]] if not name.endswith(" fixed")]
    lines = ["## Up to 9 points", "",
             f"Each further point lies on what is still missed; seeds: {len(seeds)}; where more than one, "
             "mean, least and greatest. Points until IoU 0.8 (9 where never):", ""]
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
        on_val = scored.get("val", {})

        def best(prefix):
            rows = [prefix + name for name in BRANCH if prefix + name in on_val]
            return max(rows, key=lambda name: mean(on_val[name]), default=None)

        branch = best("")
        if not branch:
            sys.exit(f"{folder}: no seed's branch has been scored yet")
        pairs = [("a: branch - " + other, branch, other)
                 for other in ("gen2seg+cc", "disc", "gen2seg+disc", "color+cc", "color+disc")]
        pairs += [("b: gen2seg+cc, pretrained - random start", "gen2seg+cc", "random start: gen2seg+cc"),
                  ("b, of 200 labelled images: pretrained - random start", "200 images: gen2seg+cc",
                   "random start, 200 images: gen2seg+cc"),
                  ("ablation: a Gaussian only - branch", best("Gaussian only: "), branch),
                  ("ablation: a Gaussian only, U-Net along - branch",
                   best("Gaussian only, U-Net along: "), branch)]
        claims = {claim: answer(scored, one, other) for claim, one, other in pairs
                  if set(on_val.get(one, ())) & set(on_val.get(other, ()))}
        carried = {name: mean(rows[branch]) / mean(on_val[branch]) for name, rows in scored.items()}
        results[prompts] = {
            "branch_read_out": branch,
            "sets": {s: {n: summary(v) for n, v in rows.items()} for s, rows in scored.items()},
            "claims": claims,
            "c: share of the score on val": carried,
        }
        seeds = len(on_val[branch])
        lines += [f"## One point: {title}", "", "mIoU and 95 % interval over images" +
                  (f" and {seeds} seeds:" if seeds > 1 else "; one seed says nothing about others:"), ""]
        lines += score_table(scored)
        lines += ["", f"Claims, with the branch read out as `{branch}` (the best on val):", ""]
        lines += table(["difference"] + list(scored), [claim_rows(n, a, seeds) for n, a in claims.items()])
        lines += ["", "Of the sets other than val:", ""]
        lines += [f"- {name}: {counted(answers)}" for name, answers in claims.items()]
        lines += ["- c: the branch keeps of its score on val: " +
                  ", ".join(f"{n} {v:.0%}" for n, v in carried.items() if n != "val"), ""]
    head = ["# The miniature", "", "Read-outs were fitted on val, per seed and kind of point.", ""]
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
