# SPDX-License-Identifier: MIT
"""What the files of the fidelity suite share: the registry of components and one trial of one of them.

A component is a function of one argument under @component("name"). It draws weights and inputs from the trial,
asks the reference and `p2s run`, and hands both answers to one of the trial's comparisons:

    @component("normalise")
    def normalise(trial):
        y = trial.normal(2, 3, 6, 8)
        ours = trial.run("normalise", {"y": y}, form="training")
        trial.forward("normalised", theirs, ours["normalised"])

Limits are for the root mean square (RMS) of the error. Forward: 1e-5 of the RMS of the tensor. Gradients: 1e-4 of
the RMS of the gradient, or of 1e-3 times that of its layer's weight gradient if that is more, because some gradients
are near zero. Where the gradient is zero by mathematics (of a key's bias, of a bias before a norm of one channel),
nothing but the rounding of sums is left, which is 2e-7 to 4e-7 of the weight gradient in the reference's own float32
(measured against its float64): such a tensor, known by theirs being below 2e-6 of its layer's, may differ by 1e-6 of it.

A gradient is asked for where ours stands. That matters in whole steps alone (training.py, finish_step): the loss
multiplies differences of the image by up to hundreds, in the reference as in ours. Seed 20261120 has a prompted step in
which one pixel, 1.4 of 255 away from another instance's mean, carries 70 % of the gradient: images 5e-7 apart, one and a
half last places, move the reference's gradient by 1e-4 (single parameters 1.8e-4), its own float32 run by 6e-5, and
every weight moved by half a last place by 7e-6. From the same image ours differs by 4e-6 (direct convolution), 8e-6
(Winograd's) and 1.4e-5 (the default's choice).
"""
import os
import shutil
import subprocess
import zlib

import numpy as np
from safetensors.numpy import load_file, save_file

FORWARD_LIMIT = 1e-5
GRADIENT_LIMIT = 1e-4
SMALL_GRADIENT = 1e-3  # of the layer's weight gradient
ZERO_GRADIENT = 1e-2
ZERO_BELOW = 2e-6

CHUNK = 1 << 16
VARIANTS = 4  # of a component that are kept as fixtures: by keys that are words
VARIANT_BYTES = 30000  # of all but the first

COMPONENTS = {}
SMALL = bool(os.environ.get("P2S_FIDELITY_SMALL"))  # sizes for fixtures


def small(usual, recorded):
    return recorded if SMALL else usual


def component(name, once=False):
    """Registers a component; `once`: no kernels take part, so that one row is enough."""
    def register(function):
        assert name not in COMPONENTS, name
        COMPONENTS[name] = function
        function.once = once
        return function
    return register


def chunks(*arrays):
    """Pieces in float64: of whole arrays they would cost more than all that is done with them."""
    flat = [np.asarray(x).reshape(-1) for x in arrays]
    for i in range(0, flat[0].size, CHUNK):
        yield [x[i:i + CHUNK].astype(np.float64) for x in flat]


def rms(x):
    x = np.asarray(x)
    return float(np.sqrt(sum(float(np.square(piece).sum()) for piece, in chunks(x)) / x.size)) if x.size else 0.0


def gradient_floor(theirs, weight):
    """What an error in a gradient is at least compared with; `weight`: its layer's weight gradient."""
    size = rms(weight)
    return size * (ZERO_GRADIENT if rms(theirs) <= ZERO_BELOW * size else SMALL_GRADIENT)


class Failure(Exception):
    """Something that is wrong without being a number: ours refused, a shape differs."""


class Trial:
    """One component under one seed and one set of kernels; collects the worst of what is compared."""

    def __init__(self, name, seed, program, folder, kernels, record=None):
        self.name, self.program, self.folder, self.kernels = name, program, folder, kernels
        self.record, self.fixtures, self.known = record, {}, {}
        self.seed = zlib.crc32(f"{seed} {name}".encode())
        self.rng = np.random.default_rng(self.seed)
        self.shapes = []
        self.forward_worst = self.forward_max = 0.0
        self.input_worst = self.input_max = self.parameter_worst = self.parameter_max = 0.0
        self.forward_where = self.input_where = self.parameter_where = ""
        self.forward_limit, self.gradient_limit = FORWARD_LIMIT, GRADIENT_LIMIT
        self.has_gradient = False
        self.wrong = []

    # ---- inputs ---------------------------------------------------------------------------------

    def normal(self, *shape, scale=1.0):
        return (scale * self.rng.standard_normal(shape)).astype(np.float32)

    def uniform(self, low, high, *shape):
        return self.rng.uniform(low, high, shape).astype(np.float32)

    def integers(self, low, high, *shape):
        """low to high, both included."""
        return self.rng.integers(low, high, shape, dtype=np.int32, endpoint=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    # ---- ours -----------------------------------------------------------------------------------

    def command(self, *words):
        """Any command of the program; returns what it prints."""
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True, cwd=self.record)
        if done.returncode != 0:
            raise Failure(f"p2s {words[0]}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def run_file(self, name, inputs, model=None, kernels=None, **keys):
        """`p2s run name` with arrays by name; returns the path of the file that it answers with."""
        given, answer = self.path("in.safetensors"), self.path("out.safetensors")
        save_file({k: np.ascontiguousarray(v) for k, v in inputs.items()}, given)
        words = ["run", name, given, answer, "--kernels", kernels or self.kernels]
        if model:
            words += ["--model", model]
        self.command(*words, *(f"{k}={text(v)}" for k, v in keys.items()))
        os.remove(given)
        return answer

    def run(self, name, inputs, **more):
        """The same, returning arrays by name. Keys with a dot: **{"train.lr": 1}."""
        answer = self.run_file(name, inputs, **more)
        outputs = load_file(answer)
        os.remove(answer)
        if self.record:
            self.keep(name, inputs, outputs, **more)
        return outputs

    # ---- fixtures: what goes in and what must come out (tests/test_run_fixtures.c) ---------------

    def attach(self, path):
        """A file or folder that a fixture needs beside it; returns its path from there."""
        if not self.record:
            return str(path)
        kept = os.path.join(self.name, os.path.basename(path))
        os.makedirs(os.path.join(self.record, self.name), exist_ok=True)
        (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, os.path.join(self.record, kept))
        return kept

    def keep(self, name, inputs, outputs, model=None, kernels=None, **keys):
        variant = name, *(v for v in keys.values() if isinstance(v, (str, bool)))
        size = sum(x.nbytes for x in [*inputs.values(), *outputs.values()])
        if variant in self.fixtures or (self.fixtures and size > VARIANT_BYTES) or len(self.fixtures) == VARIANTS:
            return
        words = [name, *(f"{k}={text(v)}" for k, v in keys.items()), *(["--model", self.attach(model)] if model else [])]
        kept = dict(outputs)
        self.fixtures[variant] = " ".join(words), {k: np.ascontiguousarray(v) for k, v in inputs.items()}, kept
        self.known |= {id(x): (x, kept, k) for k, x in outputs.items()}

    def reference(self, theirs, ours):
        """A fixture holds what the reference says where that is compared as it comes, and ours where it was found good."""
        _, kept, name = self.known.get(id(ours), (None, None, None))
        if kept and np.shape(theirs) == ours.shape:
            kept[name] = np.ascontiguousarray(np.asarray(theirs).astype(ours.dtype))

    def write_fixtures(self):
        for i, (words, inputs, outputs) in enumerate(self.fixtures.values(), 1):
            name = self.name + (f".{i}" if i > 1 else "")
            save_file({"in." + k: v for k, v in inputs.items()} | {"out." + k: v for k, v in outputs.items()},
                      os.path.join(self.record, name + ".safetensors"), metadata={"run": words})

    # ---- comparisons ----------------------------------------------------------------------------

    def error(self, what, theirs, ours):
        """RMS and largest of the difference, and the RMS of theirs."""
        self.reference(theirs, ours)
        theirs, ours = np.asarray(theirs), np.asarray(ours)
        if theirs.shape != ours.shape:
            raise Failure(f"{what}: shape {list(ours.shape)}, theirs {list(theirs.shape)}")
        squares = most = 0.0
        for a, b in chunks(theirs, ours):
            b -= a
            if not np.isfinite(b).all():
                raise Failure(f"{what}: not finite")
            squares += float(np.square(b).sum())
            most = max(most, float(np.abs(b).max()))
        return np.sqrt(squares / max(theirs.size, 1)), most, rms(theirs)

    def forward(self, what, theirs, ours):
        """Error of an output over the RMS of theirs."""
        error, most, scale = self.error(what, theirs, ours)
        worst = error / (scale or 1.0)
        if worst >= self.forward_worst:
            self.forward_worst, self.forward_where = worst, what
        self.forward_max = max(self.forward_max, most / (scale or 1.0))

    def gradient(self, what, theirs, ours, floor=0.0, parameter=False):
        """Error of a gradient over the larger of its RMS and `floor`."""
        error, most, scale = self.error("grad." + what, theirs, ours)
        self.has_gradient = True
        scale = max(scale, floor) or 1.0
        worst = error / scale
        if parameter:
            self.parameter_max = max(self.parameter_max, most / scale)
            if worst >= self.parameter_worst:
                self.parameter_worst, self.parameter_where = worst, what
        else:
            self.input_max = max(self.input_max, most / scale)
            if worst >= self.input_worst:
                self.input_worst, self.input_where = worst, what

    def parameter_gradients(self, theirs, ours):
        """Both: name -> gradient. A bias is measured against its layer's weight too."""
        if set(theirs) != set(ours):
            odd = sorted(set(theirs) ^ set(ours))
            raise Failure(f"parameters differ: {len(odd)}, first {odd[0]}")
        for name in sorted(theirs):
            weight = name[:-len("bias")] + "weight" if name.endswith(".bias") else name
            floor = gradient_floor(theirs[name], theirs[weight]) if weight in theirs else 0.0
            self.gradient(name, theirs[name], ours[name], floor, parameter=True)

    def exact(self, what, theirs, ours):
        """Every element equal; the limit of the row becomes 0 differing elements."""
        theirs, ours = np.asarray(theirs), np.asarray(ours)
        self.forward_limit = 0.0
        self.reference(theirs, ours)
        if theirs.shape != ours.shape:
            raise Failure(f"{what}: shape {list(ours.shape)}, theirs {list(theirs.shape)}")
        differing = int((theirs != ours).sum())
        self.forward_max = max(self.forward_max, float(differing))
        if differing >= self.forward_worst:
            self.forward_worst, self.forward_where = float(differing), what

    def within(self, what, theirs, ours, limit):
        """Largest absolute error at most `limit`, which becomes the row's."""
        _, worst, _ = self.error(what, theirs, ours)
        self.forward_limit = limit
        self.forward_max = max(self.forward_max, worst)
        if worst >= self.forward_worst:
            self.forward_worst, self.forward_where = worst, what

    def true(self, what, holds):
        """A fact that is no number."""
        if not holds:
            self.wrong.append(what)

    def shape(self, *shapes):
        said = " ".join("x".join(map(str, shape)) for shape in shapes)
        if said and said not in self.shapes:
            self.shapes.append(said)

    # ---- the row --------------------------------------------------------------------------------

    @property
    def gradient_worst(self):
        return max(self.input_worst, self.parameter_worst)

    @property
    def ok(self):
        return (not self.wrong and self.forward_worst <= self.forward_limit
                and self.gradient_worst <= self.gradient_limit)


def text(value):
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
