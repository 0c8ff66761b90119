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
"""
import os
import subprocess
import zlib

import numpy as np
from safetensors.numpy import load_file, save_file

FORWARD_LIMIT = 1e-5
GRADIENT_LIMIT = 1e-4
SMALL_GRADIENT = 1e-3  # of the layer's weight gradient
ZERO_GRADIENT = 1e-2
ZERO_BELOW = 2e-6

COMPONENTS = {}


def component(name, once=False):
    """Registers a component; `once`: no kernels take part, so that one row is enough."""
    def register(function):
        assert name not in COMPONENTS, name
        COMPONENTS[name] = function
        function.once = once
        return function
    return register


def rms(x):
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if x.size else 0.0


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
        self.record = record
        self.seed = zlib.crc32(f"{seed} {name}".encode())
        self.rng = np.random.default_rng(self.seed)
        self.shapes = []
        self.forward_worst = self.forward_max = self.input_worst = self.parameter_worst = 0.0
        self.forward_where = self.gradient_where = ""
        self.parameter_where = ""
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
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True)
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
        return outputs

    # ---- comparisons ----------------------------------------------------------------------------

    def error(self, what, theirs, ours):
        theirs, ours = np.asarray(theirs, np.float64), np.asarray(ours, np.float64)
        if theirs.shape != ours.shape:
            raise Failure(f"{what}: shape {list(ours.shape)}, theirs {list(theirs.shape)}")
        difference = ours - theirs
        if not np.isfinite(difference).all():
            raise Failure(f"{what}: not finite")
        return difference, theirs

    def forward(self, what, theirs, ours):
        """Error of an output over the RMS of theirs."""
        difference, theirs = self.error(what, theirs, ours)
        scale = rms(theirs) or 1.0
        worst = rms(difference) / scale
        if worst >= self.forward_worst:
            self.forward_worst, self.forward_where = worst, what
        self.forward_max = max(self.forward_max, float(np.abs(difference).max(initial=0)) / scale)

    def gradient(self, what, theirs, ours, floor=0.0, parameter=False):
        """Error of a gradient over the larger of its RMS and `floor`."""
        difference, theirs = self.error("grad." + what, theirs, ours)
        self.has_gradient = True
        worst = rms(difference) / (max(rms(theirs), floor) or 1.0)
        if parameter and worst >= self.parameter_worst:
            self.parameter_worst, self.parameter_where = worst, what
        elif not parameter:
            self.input_worst = max(self.input_worst, worst)
        if worst >= max(self.input_worst, self.parameter_worst):
            self.gradient_where = what

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
        if theirs.shape != ours.shape:
            raise Failure(f"{what}: shape {list(ours.shape)}, theirs {list(theirs.shape)}")
        differing = int((theirs != ours).sum())
        self.forward_max = max(self.forward_max, float(differing))
        if differing >= self.forward_worst:
            self.forward_worst, self.forward_where = float(differing), what

    def within(self, what, theirs, ours, limit):
        """Largest absolute error at most `limit`, which becomes the row's."""
        difference, _ = self.error(what, theirs, ours)
        worst = float(np.abs(difference).max(initial=0))
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
