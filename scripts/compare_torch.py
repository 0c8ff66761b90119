#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our program beside PyTorch and diffusers, on this machine, in one run.

Runs the peer script (the same work in PyTorch, one JSON object per line) and `p2s bench` in turn, several
rounds, and prints medians and ratios: "faster" is PyTorch's time over ours, against the best of PyTorch's own
settings. Both get the same shapes, threads and, for the loss, the same inputs, whose values are compared.

    scripts/compare_torch.py                           every case, 3 rounds
    scripts/compare_torch.py --cases ops,loss          some
    scripts/compare_torch.py --quick --rounds 1        small shapes: only checks that everything runs

PyTorch is installed into an environment of its own (build/compare-venv) unless --python names one that has torch,
diffusers, transformers, safetensors, numpy, h5py and pillow. Exit code 1 when ours fails or the values of the loss
differ by more than 1e-4.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["torch", "diffusers", "transformers", "safetensors", "numpy", "h5py", "pillow"]
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- the peer's environment -----------------------------------------------------------------------------------------


def run_pip(python, *arguments):
    return subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", *arguments]).returncode == 0


def make_environment(folder):
    """An environment with the newest packages; made once, then reused. Returns its interpreter."""
    python, done = folder / "bin" / "python", folder / ".complete"
    if done.exists():
        return str(python)
    say(f"installing PyTorch and diffusers into {folder} (once, some minutes)")
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)]).returncode != 0:
        sys.exit("compare_torch: no environment could be made; on Debian, install python3-venv")
    run_pip(python, "pip")
    # The wheels without GPU libraries are a tenth of the size; not every network reaches them.
    if not run_pip(python, "--retries", "0", "--timeout", "10", "torch", "--index-url", CPU_WHEELS):
        say("no CPU wheels there; taking torch from the usual index")
    if not run_pip(python, *PACKAGES):
        sys.exit("compare_torch: the packages could not be installed: " + " ".join(PACKAGES))
    done.write_text("\n")
    return str(python)


# ---- cases ----------------------------------------------------------------------------------------------------------


class Case:
    """What both programs are asked, which fields tell their rows apart, and which are compared."""

    def __init__(self, name, peer, ours, same=(), times=("seconds",), rates=(), best=False):
        self.name, self.peer, self.ours = name, peer, ours
        self.same, self.times, self.rates, self.best = same, times, rates, best

    def key(self, row):
        return " ".join([self.name] + [str(row[k]) for k in self.same if k in row])

    def rows(self, rows):
        """The rows that count, by key. A peer that tries several settings says which was best."""
        if self.best:
            rows = [r for r in rows if r["case"].endswith("-best")] or [r for r in rows if "seconds" in r]
        elif self.name == "ops":
            rows = [r for r in rows if r["case"] in ("conv3x3", "attention", "linear", "group_norm+silu")]
        found = {}
        for row in rows:
            found[self.key(row)] = row
        return found


def network(name, case, peer_model, size, extra=()):
    peer_arguments = [case, "--model", peer_model, "--size", size, *extra]
    return Case(name, peer_arguments, peer_arguments, best=True)


def all_cases(a, folder):
    inputs = str(Path(folder) / "loss.safetensors")
    miniature = str(a.miniature)
    mini = ["--batch", "8", "--instances", "6", "--tokens", "2"]
    n, loss_size = ("20 100", "120x160") if a.quick else ("50 1000", "480x640")
    big, predict_size = ("miniature", "64x64") if a.quick else ("sd2", None)
    model = miniature if a.quick else "sd2"
    middle = "64x64" if a.quick else "128x192"
    hypersim = str(a.hypersim)
    images = "16" if a.quick else "64"
    cases = [
        Case("ops", ["ops"], ["ops", "sd2"], same=("case", "shape", "pass_"), times=("seconds", "forward", "backward")),
        Case("loss", ["loss", "--n", *n.split(), "--size", loss_size, "--write", inputs],
             ["loss", "--n", n, "--inputs", inputs], same=("n",)),
        network("miniature gen2seg step 64x64", "step", miniature, "64x64", mini),
        network("miniature prompt2seg step 64x64", "step", miniature, "64x64", ["--kind", "prompt2seg", *mini]),
        network(f"{big} unet {middle}", "unet", model, middle),
        network(f"{big} gen2seg step {middle}", "step", model, middle),
        network(f"{big} prompt2seg step {middle}", "step", model, middle, ["--kind", "prompt2seg"]),
        network(f"{big} predict {predict_size or '480x640'}", "predict", model, predict_size or "480x640"),
        Case("loader", ["loader", "--images", hypersim, "--labels", hypersim, "--repeat", images],
             ["loader", "--data", "hypersim", "--path", hypersim, "--count", images], same=("workers",), times=(),
             rates=("images_per_second",)),
    ]
    if a.cases:
        wanted = a.cases.split(",")
        unknown = [w for w in wanted if not any(w in c.name for c in cases)]
        if unknown:
            sys.exit(f"compare_torch: no case is called {', '.join(unknown)}; known are "
                     + ", ".join(c.name for c in cases))
        cases = [c for c in cases if any(w in c.name for w in wanted)]
    if not a.hypersim.is_dir():
        say(f"SKIP loader: no Hypersim frames at {a.hypersim}")
        cases = [c for c in cases if c.name != "loader"]
    if not a.miniature.is_dir():
        say(f"SKIP miniature: no model folder at {a.miniature}")
        cases = [c for c in cases if miniature not in c.peer]
    return cases


# ---- running --------------------------------------------------------------------------------------------------------


def run(command, what):
    """The JSON rows that a command prints; None when it failed."""
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for row in rows:
        if "failed" in row:
            say(f"    {what} cannot run {row.get('settings')}: {row['failed']}")
    if done.returncode != 0:
        say(f"    {what} failed: " + (done.stderr.strip().splitlines() or ["without a message"])[-1])
        return None
    say(f"    {what}: {time.monotonic() - start:.0f} s")
    return [row for row in rows if "failed" not in row]


def run_round(a, case, python, number):
    extra = ["--threads", str(a.threads)] if a.threads else []
    seconds = ["--seconds", str(a.seconds)] if a.seconds is not None else []
    peer = [python, str(a.peer), *case.peer, *extra, *seconds, *(["--compile"] if a.compile and case.best else [])]
    ours = [str(a.p2s), "bench", *case.ours, "--json", *extra, *seconds]
    rows = {}
    # Who goes first changes from round to round. The peer writes the loss's inputs, so it begins there.
    order = [("torch", peer), ("p2s", ours)]
    if number % 2 and case.name != "loss":
        order.reverse()
    for what, command in order:
        rows[what] = run(command, what)
    return rows


# ---- comparing ------------------------------------------------------------------------------------------------------


def median_of(rounds, what, case, key, field):
    values = [case.rows(r[what]).get(key, {}).get(field) for r in rounds if r[what]]
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def used_memory(rounds, what, case, key):
    """Bytes beside the program itself, weights, gradients and optimiser states: the peak less what stood before and
    less static_bytes, or the growth that a row tells."""
    growth = median_of(rounds, what, case, key, "rss_growth")
    if growth is not None:
        return growth
    peak, base = (median_of(rounds, what, case, key, f) for f in ("peak_rss", "baseline_rss"))
    # The peer counts optimizer states of `unet` that it never makes; ours counts what both have.
    static = median_of(rounds, "p2s" if case.peer[0] == "unet" else what, case, key, "static_bytes")
    return peak - base - (static or 0) if peak is not None and base is not None else None


def compare(case, rounds):
    """One summary per row and time or rate."""
    keys = []
    for r in rounds:
        keys += [k for k in case.rows(r["p2s"] or []) if k not in keys]
    summary = []
    for key in keys:
        for field in case.times + case.rates:
            ours, torch = (median_of(rounds, w, case, key, field) for w in ("p2s", "torch"))
            if ours is None:
                continue
            row = {"case": key, "field": field, "p2s": ours, "torch": torch}
            if torch and torch > 0:  # a backward time that is a difference can come out below zero
                row["faster"] = ours / torch if field in case.rates else torch / ours
            for name, what in (("p2s_memory", "p2s"), ("torch_memory", "torch")):
                memory = used_memory(rounds, what, case, key)
                if memory is not None:
                    row[name] = memory
            if row.get("torch_memory", 0) > 0 and "p2s_memory" in row:
                row["memory_share"] = row["p2s_memory"] / row["torch_memory"]
            values = [median_of(rounds, w, case, key, "value") for w in ("p2s", "torch")]
            if None not in values:
                row["value_difference"] = abs(values[0] - values[1]) / max(abs(values[1]), 1e-12)
            summary.append(row)
    return summary


def as_text(value, field):
    if value is None:
        return "-"
    return f"{value:.1f}/s" if field == "images_per_second" else f"{value * 1e3:.2f} ms"


def print_table(summary):
    print(f"{'case':52} {'field':17} {'p2s':>13} {'torch':>13} {'faster':>7} {'MB':>8} {'torch MB':>9}  value")
    for row in summary:
        memory = [f"{row[k] / 1e6:.0f}" if k in row else "-" for k in ("p2s_memory", "torch_memory")]
        faster = f"{row['faster']:.2f}" if "faster" in row else "-"
        value = f"{row['value_difference']:.1e}" if "value_difference" in row else ""
        print(f"{row['case']:52} {row['field']:17} {as_text(row['p2s'], row['field']):>13} "
              f"{as_text(row['torch'], row['field']):>13} {faster:>7} {memory[0]:>8} {memory[1]:>9}  {value}")


def processor():
    try:
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def commit():
    """The commit of this tree, with a + when files differ from it; "" outside of a repository."""
    git = ["git", "-C", str(ROOT)]
    done = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    dirty = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True).returncode == 1
    return done.stdout.strip() + ("+" if dirty else "")


def default_out(quick):
    if quick:
        return ROOT / "build" / "compare-torch.json"
    name = f"{time.strftime('%Y-%m-%d')}-cpu-torch-{commit() or 'unknown'}.json"
    return ROOT / "bench" / "results" / name


def parse():
    data = Path(os.environ.get("P2S_DATA", ROOT.parent / "shared" / "data"))
    peers = ROOT.parent / "shared" / "peers"
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", type=Path, default=peers / "torch_peer.py", help="the script that does the same in PyTorch")
    p.add_argument("--miniature", type=Path, help="model folder of the miniature (default: beside the peer)")
    p.add_argument("--hypersim", type=Path, default=data / "Hypersim", help="Hypersim frames for the loader")
    p.add_argument("--p2s", type=Path, default=ROOT / "build" / "release" / "p2s")
    p.add_argument("--venv", type=Path, default=ROOT / "build" / "compare-venv")
    p.add_argument("--python", help="an interpreter that already has the packages")
    p.add_argument("--cases", help="names or parts of names, with commas")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int)
    p.add_argument("--seconds", type=float, help="time to spend per measurement (default: each program's own)")
    p.add_argument("--compile", action="store_true", help="let PyTorch try torch.compile too")
    p.add_argument("--quick", action="store_true", help="small shapes")
    p.add_argument("--out", type=Path, help="default: bench/results/DATE-cpu-torch-COMMIT.json")
    a = p.parse_args()
    a.out = a.out or default_out(a.quick)
    a.miniature = a.miniature or a.peer.parent / "miniature"
    if not a.peer.is_file():
        sys.exit(f"compare_torch: no peer script at {a.peer}; name it with --peer")
    if not a.p2s.is_file():
        sys.exit(f"compare_torch: no program at {a.p2s}; build it, or name it with --p2s")
    return a


def main():
    a = parse()
    python = a.python or make_environment(a.venv)
    versions = subprocess.run([python, "-c", "import torch, diffusers; print(torch.__version__, diffusers.__version__)"],
                              capture_output=True, text=True, check=True).stdout.split()
    print(f"torch {versions[0]}, diffusers {versions[1]}, {processor()}, {os.cpu_count()} processors, "
          f"{a.rounds} rounds", flush=True)
    results, summary, failed = {}, [], False
    with tempfile.TemporaryDirectory() as folder:
        for case in all_cases(a, folder):
            rounds = []
            for number in range(a.rounds):
                say(f"{case.name}, round {number + 1} of {a.rounds}")
                rounds.append(run_round(a, case, python, number))
            failed = failed or any(r["p2s"] is None for r in rounds)
            results[case.name] = rounds
            summary += compare(case, rounds)
            a.out.parent.mkdir(parents=True, exist_ok=True)
            a.out.write_text(json.dumps({"torch": versions[0], "diffusers": versions[1], "processor": processor(),
                                         "processors": os.cpu_count(), "commit": commit(),
                                         "date": time.strftime("%Y-%m-%d %H:%M"),
                                         "load": os.getloadavg(), "isa": os.environ.get("P2S_ISA", ""),
                                         "rounds": results, "summary": summary}, indent=1))
    print_table(summary)
    wrong = [r["case"] for r in summary if r.get("value_difference", 0) > 1e-4]
    if wrong:
        print("values differ: " + ", ".join(wrong))
    print(f"everything measured is in {a.out}")
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
