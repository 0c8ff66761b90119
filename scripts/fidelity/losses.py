# SPDX-License-Identifier: MIT
"""Between decoder and loss: normalisation, clean latent, noise schedule, instance coloring."""
import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from trial import component

SCHEDULER = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, num_train_timesteps=1000,
                 prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1,
                 timestep_spacing="trailing")


def leaf(array):
    return torch.from_numpy(array).double().requires_grad_()


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
                x = leaf(y)
                theirs = torch.stack([reference(i) for i in x]) if per_image else reference(x)
                gradients({"normalised": theirs}, given)
                trial.forward(f"{form} {shift}", theirs.detach(), ours["normalised"])
                trial.gradient("y", x.grad, ours["grad.y"])
    trial.shape((2, 3, 6, 8))
