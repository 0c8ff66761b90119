#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes of the rows that scripts/cuda_check.sh has collected so far its results: an object with the
machine, the stages and all rows, and tables of what was measured.

    cuda_report.py ROWS.jsonl OUT.json [--print]     also OUT.md; --print: the tables on stdout
    cuda_report.py --rows OUT.json                   the rows again, one a line, to go on from

Exit code 1 when a step was not recorded, or a line is no row. Needs nothing but Python.
"""
import json
import os
import sys

# FLOPs of a step on an image of 480x640, and what an H200's copy and product rates allow of gen2seg's,
# in images/s: the roofline.
WORK = {"gen2seg": 10195e9, "prompt2seg": 10043e9}
ROOF = {"480x640": 62, "368x1024": 50}


def read(path):
    rows, bad = [], 0
    with open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                bad += 1
                print(f"cuda_report: {path}:{number}: no row: {error}: {line.strip()[:80]}", file=sys.stderr)
    return rows, bad


def rate(row):
    return row["batch"] / row["seconds"]


def is_recorded(row):
    """Forward and backward pass, and update, of each step."""
    return row.get("replays", 0) >= 2 * row.get("steps", 1)


def table(title, *lines):
    """Lines of cells; the first are the names of columns."""
    if len(lines) < 2:
        return []
    rows = ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
    return [f"## {title}", "", rows[0], "|" + "---|" * len(lines[0]), *rows[1:], ""]


def peers_of(row, peers):
    """(the fastest eager row, the fastest compiled row) of the same step, or None."""
    same = [p for p in peers if all(p[key] == row[key] for key in ("kind", "size", "batch"))]
    best = []
    for compiled in (False, True):
        found = [p for p in same if p["settings"].endswith("compile") == compiled and p.get("seconds")]
        best.append(min(found, key=lambda p: p["seconds"]) if found else None)
    return best


def step_lines(steps, peers, peaks):
    yield ("step", "size", "batch", "type", "images/s", "of roofline", "of peak", "memory GB", "recorded",
           "of eager PyTorch", "of compiled", "PyTorch's memory GB")
    for row in steps:
        tuned = ", tuned plans" if row["of"].endswith("-tuned") else ""
        name = (row["kind"], row["size"], row["batch"], row["type"] + tuned)
        if "failed" in row:
            yield (*name, "failed: " + row["failed"].replace("|", "/"), *[""] * 7)
            continue
        height, width = map(int, row["size"].split("x"))
        flops = WORK.get(row["kind"], 0) * height * width / (480 * 640) * rate(row)
        peak = peaks.get(row["type"])
        roof = ROOF.get(row["size"]) if row["kind"] == "gen2seg" and row["type"] == "bf16" else None
        known = row["model"] == "sd2"
        eager, compiled = peers_of(row, peers) if row["type"] == "bf16" else (None, None)
        memory = [f"{p['peak_device'] / 1e9:.1f}" for p in (eager, compiled) if p and "peak_device" in p]
        yield (*name, f"{rate(row):.2f}", f"{100 * rate(row) / roof:.0f} %" if roof and known else "",
               f"{100 * flops / peak:.0f} %" if peak and known else "", f"{row.get('peak_bytes', 0) / 1e9:.1f}",
               "yes" if is_recorded(row) else "NO", *[f"{rate(row) / rate(p):.2f}" if p else "" for p in (eager, compiled)],
               " / ".join(memory))


def activation_lines(steps):
    """Memory of one image more, between the smallest and the largest batch."""
    yield "step", "size", "type", "GB an image"
    groups = {}
    for row in steps:
        if row.get("peak_bytes"):
            groups.setdefault((row["kind"], row["size"], row["type"]), []).append(row)
    for name, rows in groups.items():
        rows.sort(key=lambda row: row["batch"])
        images = rows[-1]["batch"] - rows[0]["batch"]
        if images > 0:
            yield *name, f"{(rows[-1]['peak_bytes'] - rows[0]['peak_bytes']) / 1e9 / images:.2f}"


def op_lines(measured):
    yield "op", "type", "shape", "pass", "ms", "TFLOP/s", "GB/s", "share of peak"
    kinds = {row["of"]: row["type"] for row in measured if row.get("case") == "machine"}
    for row in measured:
        if not row["of"].startswith("ops-") or row.get("case") == "machine" or "share" not in row:
            continue
        seconds = row.get("seconds", row.get("forward", 0))
        yield (row["case"], kinds.get(row["of"], ""), row["shape"], row.get("pass_", "forward"), f"{1e3 * seconds:.3f}",
               f"{row['gflops'] / 1e3:.1f}" if row.get("gflops") else "", f"{row['gbps']:.0f}" if row.get("gbps") else "",
               f"{100 * row['share']:.0f} %")
        if row.get("backward"):
            yield row["case"], kinds.get(row["of"], ""), row["shape"], "backward", f"{1e3 * row['backward']:.3f}", "", "", ""


def report(rows):
    machine = next(row for row in rows if "machine" in row)
    stages, measured = [row for row in rows if "stage" in row], [row for row in rows if "of" in row]
    steps = [row for row in measured if row.get("case") == "step" and not row["of"].startswith("peer-")]
    peers = [row for row in measured if row.get("case") == "step" and row["of"].startswith("peer-")]
    ours = [row for row in measured if row.get("case") == "machine"]
    peaks = {row["type"]: row["matmul_gflops"] * 1e9 for row in ours}
    lines = [f"# {machine['machine']}, {machine['date']}, {machine['commit'][:7]}", ""]
    lines += table("What the device reaches", ("type", "product TFLOP/s", "copy GB/s", "asking and waiting us"),
                   *[(row["type"], f"{row['matmul_gflops'] / 1e3:.1f}", f"{row['copy_gbps']:.0f}",
                      f"{1e6 * row.get('latency_seconds', 0):.0f}") for row in ours])
    lines += table("Steps", *step_lines(steps, peers, peaks))
    lines += table("Memory", *activation_lines(steps))
    lines += table("PyTorch", ("step", "size", "batch", "settings", "images/s"),
                   *[(row["kind"], row["size"], row["batch"], row["settings"], f"{rate(row):.2f}") for row in peers if row.get("seconds")])
    lines += table("Ops", *op_lines(measured))
    lines += table("Stages", ("stage", "result", "s"), *[(row["stage"], row["result"], row.get("seconds", "")) for row in stages])
    plain = [f"{row['kind']} {row['size']} {row['batch']} {row['type']}" for row in steps if "failed" not in row and not is_recorded(row)]
    return {"machine": machine, "stages": stages, "rows": measured}, lines, plain


def replace(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--rows":
        with open(sys.argv[2]) as file:
            kept = json.load(file)
        good = [row for row in kept["stages"] if row["result"] == "ok"]
        names = {row["stage"] for row in good}
        for row in [kept["machine"], *good, *(row for row in kept["rows"] if row.get("of") in names)]:
            print(json.dumps(row))
        return 0
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    rows, bad = read(sys.argv[1])
    result, lines, plain = report(rows)
    replace(sys.argv[2], json.dumps(result, indent=1) + "\n")
    replace(os.path.splitext(sys.argv[2])[0] + ".md", "\n".join(lines))
    if len(sys.argv) == 4:
        print("\n".join(lines))
    if plain:
        print("cuda_report: not recorded: " + ", ".join(plain), file=sys.stderr)
    return 1 if plain or bad else 0


if __name__ == "__main__":
    sys.exit(main())
