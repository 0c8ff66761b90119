# SPDX-License-Identifier: MIT
"""Runs the components of the fidelity suite and prints one table. See scripts/fidelity.sh and trial.py."""
import argparse
import concurrent.futures
import functools
import gc
import importlib
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

if "--record" in sys.argv:
    os.environ["P2S_FIDELITY_SMALL"] = "1"

import torch

from trial import COMPONENTS, Failure, Trial

# Every other file of the folder registers its components.
for source in sorted(Path(__file__).parent.glob("*.py")):
    if source.stem not in ("suite", "trial"):
        importlib.import_module(source.stem)

SHAPES_SHOWN = 2
HEADER = (f"{'component':30} {'kernels':9} {'forward rms':>11} {'max':>8} {'limit':>7} {'d input':>8} {'max':>8} {'d param':>8} {'max':>8} "
          f"{'limit':>8} {'s':>5}  verdict; shapes; worst")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", metavar="COMPONENT", help="that one, or those whose name begins so; several with commas")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--kernels", choices=["fast", "winograd", "direct", "reference", "both"], default="both",
                        help="of ours; both: Winograd convolution wherever it can, and none")
    parser.add_argument("--jobs", type=int, default=2, help="components at a time (2): where one side has a single thread")
    parser.add_argument("--record", metavar="DIR", type=os.path.abspath, help="keep small cases there (scripts/make_fixtures.py)")
    parser.add_argument("--faults", action="store_true", help="try the programs that break.sh names on standard input")
    parser.add_argument("--list", action="store_true", help="name the components and end")
    return parser.parse_args()


def number(value):
    return f"{value:.1e}" if value else "0"


def describe(row):
    keys = ("input_gradient", "max_input_gradient", "parameter_gradient", "max_parameter_gradient", "limit_gradient")
    gradients = [f"{number(row[key]) if row['has_gradient'] else '-':>8}" for key in keys]
    worst = [row["wrong"]] if row["wrong"] else [row["where_forward"], row["where_input"], row["where_parameter"]]
    shapes = ", ".join(row["shapes"][:SHAPES_SHOWN])
    if len(row["shapes"]) > SHAPES_SHOWN:
        shapes += f" and {len(row['shapes']) - SHAPES_SHOWN} more"
    tail = "; ".join(text for text in ["ok" if row["ok"] else "FAILED", shapes, *worst] if text)
    return (f"{row['component']:30} {row['kernels']:9} {number(row['worst_forward']):>11} {number(row['max_forward']):>8} "
            f"{number(row['limit_forward']):>7} {' '.join(gradients)} {row['seconds']:5.1f}  {tail}")


def processor_seconds():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def attempt(options, name, kernels):
    """One row of the table."""
    start, processor = time.monotonic(), processor_seconds()
    with tempfile.TemporaryDirectory(prefix="p2s-fidelity-") as folder:
        trial = Trial(name, options.seed, os.environ["P2S_PROGRAM"], folder, kernels, options.record)
        torch.manual_seed(trial.seed)
        try:
            COMPONENTS[name](trial)
        except Failure as failure:
            trial.wrong.append(str(failure))
        except Exception:  # a mistake in the suite or in the reference: still a row, never silent
            trial.wrong.append(traceback.format_exc().strip().replace("\n", " | "))
    if options.record and trial.ok:
        trial.write_fixtures()
    gc.collect()
    return {"component": name, "kernels": kernels, "shapes": trial.shapes,
            "worst_forward": trial.forward_worst, "max_forward": trial.forward_max,
            "where_forward": trial.forward_where, "worst_gradient": trial.gradient_worst,
            "input_gradient": trial.input_worst, "max_input_gradient": trial.input_max,
            "parameter_gradient": trial.parameter_worst, "max_parameter_gradient": trial.parameter_max,
            "where_input": trial.input_where, "where_parameter": trial.parameter_where, "has_gradient": bool(trial.has_gradient),
            "limit_forward": trial.forward_limit, "limit_gradient": trial.gradient_limit,
            "wrong": "; ".join(trial.wrong), "ok": bool(trial.ok), "seconds": time.monotonic() - start,
            "processor_seconds": processor_seconds() - processor}


def try_faults(options):
    """A line is NAME COMPONENT KERNELS PROGRAM: with that program that component must fail."""
    missed = 0
    for line in sys.stdin:
        name, component, kernels, program = line.split()
        if component not in COMPONENTS:
            raise SystemExit(f"{name}: there is no component {component}")
        os.environ["P2S_PROGRAM"] = program
        row = attempt(options, component, kernels)
        os.remove(program)
        missed += row["ok"]
        gradients = " ".join(number(row[key]) for key in ("input_gradient", "parameter_gradient")) if row["has_gradient"] else "-"
        print(f"{'MISSED' if row['ok'] else 'caught'}  {name}: {component} forward {number(row['worst_forward'])} gradient {gradients} "
              f"{row['wrong'][:100]}".rstrip(), flush=True)
    return 1 if missed else 0


def main():
    options = arguments()
    torch.set_num_threads(1)
    if options.faults:
        return try_faults(options)
    wanted = options.only.split(",") if options.only else [""]
    names = [name for name in COMPONENTS if name in wanted or any(name.startswith(w) for w in wanted if w not in COMPONENTS)]
    if options.list:
        print("\n".join(names))
        return 0
    if not names:
        print(f"no component begins with {options.only}; there are: {', '.join(COMPONENTS)}", file=sys.stderr)
        return 2
    print(f"seed {options.seed}, torch {torch.__version__}\n{HEADER}")
    rows, work, start = [], [], time.monotonic()
    for name in names:
        pair = ["fast"] if COMPONENTS[name].once else ["winograd", "direct"]
        work += [(name, kernels) for kernels in (pair if options.kernels == "both" else [options.kernels])]
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        for row in pool.map(functools.partial(attempt, options), *zip(*work)):
            rows.append(row)
            print(describe(row), flush=True)
    if options.json:
        text = json.dumps(rows, indent=1)
        with open(options.json, "w") as file:
            file.write(text + "\n")
    failed = [f"{row['component']} ({row['kernels']})" for row in rows if not row["ok"]]
    print(f"{len(names)} components, {len(rows)} rows, {len(failed)} failed, {time.monotonic() - start:.0f} s, "
          f"{sum(row['processor_seconds'] for row in rows):.0f} s of processors"
          + (": " + ", ".join(failed) if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
