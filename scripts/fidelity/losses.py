# SPDX-License-Identifier: MIT
"""Between decoder and loss: normalisation, clean latent, noise schedule, instance coloring.

The losses are method 2.2, 2.3 and 5.4 in plain autograd terms. With $P2S_GEN2SEG set to a checkout of the official
gen2seg code, its own loss class runs beside ours too.
"""
import importlib.util
import os

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch.nn.functional import huber_loss

from reference import leaves
from trial import component, small

SCHEDULER = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, num_train_timesteps=1000,
                 prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1,
                 timestep_spacing="trailing")


def gradients(outputs, given):
    torch.autograd.backward(list(outputs.values()), [torch.from_numpy(given["grad." + name]).double() for name in outputs])


def training_range(y):
    low, high = y.min().abs(), y.max().abs()
    return 255 * (y + low) / (high + low + 1e-5)


def inference_range(y):
    shifted = y + y.min().abs()
    return 255 * shifted / (shifted.max().abs() + shifted.min().abs())


@component("normalise")
def normalise(trial):
    for form, reference in (("training", training_range), ("inference", inference_range)):
        for per_image in (False, True):
            for shift in (0, 3, -3):
                y = trial.normal(2, 3, 6, 8) + np.float32(shift)
                given = {"y": y, "grad.normalised": trial.normal(2, 3, 6, 8)}
                ours = trial.run("normalise", given, form=form, per_image=per_image)
                x = leaves({"y": y})["y"]
                theirs = torch.stack([reference(i) for i in x]) if per_image else reference(x)
                gradients({"normalised": theirs}, given)
                trial.forward(f"{form} {shift}", theirs.detach(), ours["normalised"])
                trial.gradient("y", x.grad, ours["grad.y"])
    trial.shape((2, 3, 6, 8))


@component("schedule", once=True)
def schedule(trial):
    """Both schedulers' tables. torch fills its linear range differently from one vector width to the next, so that
    entries may differ in the last bit; the one that is used may not."""
    ours = trial.run("schedule", {})
    for kind in (DDIMScheduler, DDPMScheduler):
        table = kind(**{k: v for k, v in SCHEDULER.items() if kind is DDIMScheduler or k not in ("set_alpha_to_one",)}).alphas_cumprod
        for name, theirs in (("signal", (table ** 0.5).numpy()), ("noise", ((1 - table) ** 0.5).numpy())):
            trial.within(name, theirs, ours[name], 1.2e-7)
            trial.true(f"{name} at 999 is {ours[name][999]:.9g}, not {theirs[999]:.9g}", theirs[999] == ours[name][999])
    trial.shape((1000,))


@component("v_to_x0")
def v_to_x0(trial):
    """Training: from a zero latent. Inference: the scheduler's own step from the image latent."""
    scheduler = DDPMScheduler(**{k: v for k, v in SCHEDULER.items() if k != "set_alpha_to_one"})
    scheduler.set_timesteps(1)
    trial.true("the only timestep is 999", scheduler.timesteps.tolist() == [999])
    v, z = trial.normal(2, 4, 6, 5), trial.normal(2, 4, 6, 5)
    for form in ("training", "inference"):
        given = leaves({"v": v} if form == "training" else {"v": v, "z": z})
        latent = given["z"] if "z" in given else torch.zeros_like(given["v"])
        theirs = scheduler.step(given["v"], 999, latent).pred_original_sample
        gradient = trial.normal(*v.shape)
        theirs.backward(torch.from_numpy(gradient).double())
        inputs = {k: x.detach().numpy().astype(np.float32) for k, x in given.items()}
        ours = trial.run("v_to_x0", inputs | {"grad.x0": gradient}, form=form)
        trial.forward(form, theirs.detach(), ours["x0"])
        for name, x in given.items():
            trial.gradient(name, x.grad, ours["grad." + name])
    trial.shape(v.shape)


# ---- instance coloring ----------------------------------------------------------------------------------------------


def closeness(distance_squared):
    return 300 / (1 + distance_squared)


def pair_distances(means):
    means = torch.stack(means)
    i, j = torch.triu_indices(len(means), len(means), 1)
    return (means[i] - means[j]).square().sum(1)


def code_loss(pixels, ids, no_background, factor=10.0, cap=1251):
    """Method 2.3 for one image: pixels [P,3], ids [P] in the order of the colours."""
    total, means = pixels.new_zeros(()), []
    for i in ids.unique(sorted=True).tolist():
        if len(means) == cap:
            break
        inside = ids == i
        own, others = pixels[inside], pixels[~inside]
        if i == 0 and no_background:
            continue
        mean = own.new_zeros(3) if i == 0 else own.mean(0)
        total = total + huber_loss(own, mean.expand_as(own))
        means.append(mean)
        if i != 0 and len(others):
            total = total + factor / len(own) ** 0.5 * closeness((others - mean).square().sum(1)).mean()
    if len(means) > 1:
        total = total + closeness(pair_distances(means)).mean()
    return total / max(len(means), 1)


def paper_loss(pixels, ids, no_background):
    """Method 2.2 for one image, the background in every sum."""
    total, means = pixels.new_zeros(()), []
    for i in ids.unique(sorted=True).tolist():
        if i == 0 and no_background:
            continue
        own, others = pixels[ids == i], pixels[ids != i]
        mean = own.new_zeros(3) if i == 0 else own.mean(0)
        means.append(mean)
        total = total + huber_loss(own, mean.expand_as(own), reduction="sum") / len(own)
        if len(others):
            total = total + closeness((others - mean).square().sum(1)).sum() / (len(own) ** 0.5 * len(others))
    if len(means) > 1:
        n = int((ids.unique() > 0).sum())
        total = total + closeness(pair_distances(means)).sum() / (n * (n + 1))
    return total


def prompted_loss(pixels, ids, no_background, prompted):
    """Method 5.4 for one image."""
    valid = ids > 0 if no_background else ids >= 0
    present = [i for i in prompted.tolist() if i > 0 and (ids == i).any()]
    negative = valid.clone()
    for i in present:
        negative &= ids != i
    total, means = pixels.new_zeros(()), [pixels.new_zeros(3)]
    for i in present:
        own, others = pixels[ids == i], pixels[valid & (ids != i)]
        mean = own.mean(0)
        means.append(mean)
        total = total + huber_loss(own, mean.expand_as(own))
        if len(others):
            total = total + 10 / len(own) ** 0.5 * closeness((others - mean).square().sum(1)).mean()
    if negative.any():
        total = total + huber_loss(pixels[negative], torch.zeros_like(pixels[negative]))
    if len(means) > 1:
        total = total + closeness(pair_distances(means)).mean()
    return total / max(len(present) + bool(negative.any()), 1)


def rows(image):
    """[3,H,W] to [P,3]."""
    return image.permute(1, 2, 0).reshape(-1, 3)


def batch_loss(prediction, labels, no_background, form):
    """The mean over images of `form`(pixels, ids, no_background, image index)."""
    images = [form(rows(p), torch.from_numpy(l.reshape(-1)), bool(n), b)
              for b, (p, l, n) in enumerate(zip(prediction, labels, no_background))]
    return torch.stack(images).mean()


def draw_labels(trial, batch, height, width, most):
    """Blobs of ids 0..most, every id possibly missing."""
    coarse = trial.integers(0, most, batch, (height + 2) // 3, (width + 2) // 3)
    return coarse.repeat(3, 1).repeat(3, 2)[:, :height, :width].copy()


def check_coloring(trial, form, reference, labels, no_background, spread, extra=None, **keys):
    batch, height, width = labels.shape
    prediction = trial.uniform(0, spread, batch, 3, height, width)
    inputs = {"prediction": prediction, "labels": labels, "no_background": no_background, **(extra or {}),
              "grad.loss": np.ones(1, np.float32)}
    ours = trial.run("loss.coloring", inputs, form=form, **keys)
    given = leaves({"prediction": prediction})["prediction"]
    theirs = batch_loss(given, labels, no_background, reference)
    theirs.backward()
    trial.forward(f"{form} {labels.max()} ids", theirs.detach().reshape(1), ours["loss"])
    trial.gradient("prediction", given.grad, ours["grad.prediction"])
    trial.shape(prediction.shape)


def cases(trial):
    for most, size in small(((1, (6, 7)), (4, (12, 9)), (40, (40, 40))), ((4, (12, 9)),)):
        for spread in (255, 3):
            yield draw_labels(trial, 3, *size, most), trial.integers(0, 1, 3), spread


@component("loss.coloring.code")
def coloring_code(trial):
    for labels, flags, spread in cases(trial):
        check_coloring(trial, "code", lambda p, i, n, b: code_loss(p, i, n), labels, flags, spread)
    many = np.arange(1, 1601, dtype=np.int32).reshape(1, 40, 40)  # more ids than the cap of 1251
    check_coloring(trial, "code", lambda p, i, n, b: code_loss(p, i, n), many, np.zeros(1, np.int32), 255)
    check_coloring(trial, "code", lambda p, i, n, b: code_loss(p, i, n, factor=30.0), labels, flags, 255, factor=30)


@component("loss.coloring.paper")
def coloring_paper(trial):
    for labels, flags, spread in cases(trial):
        check_coloring(trial, "paper", lambda p, i, n, b: paper_loss(p, i, n), labels, flags, spread)


@component("loss.coloring.prompted")
def coloring_prompted(trial):
    for labels, flags, spread in cases(trial):
        prompted = np.zeros((3, 3), np.int32)
        for b in range(3):
            ids = trial.rng.permutation(np.arange(1, labels.max() + 1))[:trial.integers(0, 3)[()] if labels.max() > 2 else 1]
            prompted[b, :len(ids)] = ids
        check_coloring(trial, "prompted", lambda p, i, n, b: prompted_loss(p, i, n, torch.from_numpy(prompted[b])),
                       labels, flags, spread, {"prompted": prompted})


def official_loss():
    path = os.path.join(os.environ["P2S_GEN2SEG"], "training", "util", "loss.py")
    spec = importlib.util.spec_from_file_location("gen2seg_loss", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.InstanceSegmentationLoss()


def coloring_official(trial):
    """The official class, on the CPU and in its own float32."""
    loss, move = official_loss(), torch.Tensor.cuda
    torch.Tensor.cuda = lambda self, *_, **__: self
    try:
        for labels, flags, spread in cases(trial):
            colours = np.zeros((labels.max() + 1, 3), np.float32)
            colours[1:] = np.unique(trial.integers(1, 255, 4 * labels.max(), 3), axis=0)[:labels.max()]
            prediction = torch.from_numpy(trial.uniform(0, spread, 3, 3, *labels.shape[1:])).requires_grad_()
            target = torch.from_numpy(colours[labels]).permute(0, 3, 1, 2)
            theirs = loss(prediction, target, [bool(f) for f in flags])
            theirs.backward()
            ours = trial.run("loss.coloring", {"prediction": prediction.detach().numpy(), "labels": labels,
                                               "no_background": flags, "grad.loss": np.ones(1, np.float32)}, form="code")
            trial.forward(f"{labels.max()} ids", theirs.detach().reshape(1), ours["loss"])
            trial.gradient("prediction", prediction.grad, ours["grad.prediction"])
            trial.shape(prediction.shape)
    finally:
        torch.Tensor.cuda = move


if os.environ.get("P2S_GEN2SEG"):
    component("loss.coloring.official")(coloring_official)
