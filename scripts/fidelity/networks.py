# SPDX-License-Identifier: MIT
"""Whole networks: U-Nets, auto-encoder, the ControlNet branch and its injection, through model folders."""
import gc
import os
import shutil

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors import safe_open
from safetensors.numpy import save_file

from reference import compare, gradient, start
from trial import component, gradient_floor, small

SD2 = dict(sample_size=96, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
           down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
           up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
           attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True, norm_num_groups=32)
SMALL_SD2 = SD2 | dict(block_out_channels=(32, 64, 96, 96), attention_head_dim=(2, 4, 6, 6), cross_attention_dim=40,
                       norm_num_groups=16)
SMALL_SD15 = SMALL_SD2 | dict(attention_head_dim=8, use_linear_projection=False, cross_attention_dim=24)
MINIATURE = dict(sample_size=16, in_channels=4, out_channels=4, block_out_channels=small((48, 64), (4, 8)), layers_per_block=1,
                 norm_num_groups=small(8, 2), cross_attention_dim=small(32, 6), attention_head_dim=small((3, 4), (1, 2)),
                 use_linear_projection=True,
                 down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
VAE = dict(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=small((32, 64, 96, 96), (4, 4, 4, 4)),
           layers_per_block=small(2, 1), norm_num_groups=small(16, 2), down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
BRANCH_KEYS = ("in_channels", "block_out_channels", "layers_per_block", "norm_num_groups", "cross_attention_dim",
               "attention_head_dim", "use_linear_projection", "down_block_types")


def save(trial, part, module):
    """Writes the module as part of the trial's model folder, as diffusers would in float32; returns the folder."""
    folder = trial.path("model")
    module.to(torch.float32).save_pretrained(os.path.join(folder, part))
    module.to(torch.float64)
    return folder


def compare_unet(trial, config, batch, height, width, tokens=7, contexts=1, quiet=False, timestep=999, scale=1.0, **keys):
    module = start(trial, UNet2DConditionModel(**config), quiet)
    folder = save(trial, "unet", module)
    inputs = {"z": trial.normal(batch, 4, height, width, scale=scale),
              "context": trial.normal(contexts, tokens, config["cross_attention_dim"])}
    compare(trial, "unet", module, inputs,
            lambda given: {"v": module(given["z"], timestep, given["context"].expand(batch, -1, -1), return_dict=False)[0]},
            model=folder, timestep=timestep, **keys)


@component("unet.sd2")
def unet_sd2(trial):
    """Reduced width; sizes that divide by 8 and such that do not."""
    compare_unet(trial, SMALL_SD2, 2, 16, 24, tokens=77)
    compare_unet(trial, SMALL_SD2, 1, 29, 20, contexts=1, timestep=1)
    compare_unet(trial, SMALL_SD2, 2, 16, 16, contexts=2, timestep=500, recompute=True)


@component("unet.sd2.60x80", once=True)
def unet_480x640(trial):
    compare_unet(trial, SMALL_SD2, 1, 60, 80, tokens=77)


@component("unet.sd2.46x128", once=True)
def unet_368x1024(trial):
    compare_unet(trial, SMALL_SD2, 1, 46, 128, tokens=2)


@component("unet.sd2.quiet")
def unet_quiet(trial):
    """Small weights and latents: norms see variances near 1e-4 and below."""
    compare_unet(trial, SMALL_SD2, 1, 16, 12, quiet=True, scale=0.01)


@component("unet.sd15")
def unet_sd15(trial):
    compare_unet(trial, SMALL_SD15, 2, 16, 8, tokens=77)
    compare_unet(trial, SMALL_SD15, 1, 12, 23)


@component("unet.miniature")
def unet_miniature(trial):
    compare_unet(trial, MINIATURE, 2, 16, 25)


@component("unet.sd2.full", once=True)
def unet_full(trial):
    """All 865,910,724 parameters. The reference runs in float32 here and leaves its gradients on the disk, so that
    never more than one network with gradients is in memory."""
    with torch.device("meta"):  # without starting values
        module = UNet2DConditionModel(**SD2)
    start(trial, module.to_empty(device="cpu"), dtype=torch.float32)
    trial.true("number of parameters", sum(p.numel() for p in module.parameters()) == 865910724)
    module.save_pretrained(trial.path("model/unet"))
    inputs = {"z": trial.normal(1, 4, 12, 10), "context": trial.normal(1, 77, 1024)}
    given = {k: torch.from_numpy(v).requires_grad_() for k, v in inputs.items()}
    v = module(given["z"], 999, given["context"], return_dict=False)[0]
    inputs["grad.v"] = trial.normal(*v.shape)
    v.backward(torch.from_numpy(inputs["grad.v"]))
    save_file({n: p.grad.numpy() for n, p in module.named_parameters()}, trial.path("theirs.safetensors"))
    theirs = {k: gradient(x) for k, x in given.items()} | {"v": v.detach().numpy().copy()}
    del module, v, given
    gc.collect()
    answer = trial.run_file("unet", inputs, model=trial.path("model"))
    shutil.rmtree(trial.path("model"))
    with safe_open(answer, "np") as ours, safe_open(trial.path("theirs.safetensors"), "np") as gradients:
        trial.forward("v", theirs["v"], ours.get_tensor("v"))
        for name in ("z", "context"):
            trial.gradient(name, theirs[name], ours.get_tensor("grad." + name))
        names = sorted(gradients.keys())
        trial.true("one gradient per parameter", sum(k.startswith("grad.param.") for k in ours.keys()) == len(names) == 686)
        for name in names:
            weight = name[:-len("bias")] + "weight" if name.endswith(".bias") else name
            theirs = gradients.get_tensor(name)
            floor = gradient_floor(theirs, gradients.get_tensor(weight)) if weight in names else 0.0
            trial.gradient(name, theirs, ours.get_tensor("grad.param." + name), floor, parameter=True)
    os.remove(answer)
    trial.shape((1, 4, 12, 10), (1, 77, 1024))


@component("vae.encode")
def vae_encode(trial):
    for quiet, size in ((False, (48, 40)), (False, (41, 35)), (True, (32, 24))):
        module = start(trial, AutoencoderKL(**VAE), quiet)
        folder = save(trial, "vae", module)

        def forward(given):
            moments = module.quant_conv(module.encoder(given["image"]))
            mean = module.encode(given["image"]).latent_dist.mode()
            return {"moments": moments, "latent": mean * module.config.scaling_factor}
        image = trial.uniform(-1, 1, 2, 3, *size) * np.float32(0.01 if quiet else 1)
        compare(trial, "vae.encode", module, {"image": image}, forward, model=folder,
                keep=lambda name: name.startswith(("encoder.", "quant_conv.")))


@component("vae.decode")
def vae_decode(trial):
    for quiet, size in ((False, (6, 5)), (True, (4, 3))):
        module = start(trial, AutoencoderKL(**VAE), quiet)
        folder = save(trial, "vae", module)
        latent = trial.normal(2, 4, *size, scale=0.01 if quiet else 1)
        compare(trial, "vae.decode", module, {"latent": latent},
                lambda given: {"image": module.decode(given["latent"] / module.config.scaling_factor, return_dict=False)[0]},
                model=folder, keep=lambda name: name.startswith(("decoder.", "post_quant_conv.")))


@component("vae.full", once=True)
def vae_full(trial):
    """Stable Diffusion's width."""
    config = VAE | dict(block_out_channels=(128, 256, 512, 512), norm_num_groups=32)
    module = start(trial, AutoencoderKL(**config))
    folder = save(trial, "vae", module)
    compare(trial, "vae.decode", module, {"latent": trial.normal(1, 4, 3, 4)},
            lambda given: {"image": module.decode(given["latent"] / module.config.scaling_factor, return_dict=False)[0]},
            model=folder, keep=lambda name: name.startswith(("decoder.", "post_quant_conv.")))
    compare(trial, "vae.encode", module, {"image": trial.uniform(-1, 1, 1, 3, 32, 24)},
            lambda given: {"moments": module.quant_conv(module.encoder(given["image"]))},
            model=folder, keep=lambda name: name.startswith(("encoder.", "quant_conv.")))


def residual_names(count):
    return [f"residual.{i}" for i in range(count)] + ["residual.mid"]


def compare_controlnet(trial, channels, batch, height, width, scale, config=SMALL_SD2):
    module = start(trial, ControlNetModel(**{k: config[k] for k in BRANCH_KEYS}, conditioning_channels=channels,
                                          conditioning_embedding_out_channels=(16, 32, 96, 256)))
    folder = save(trial, "controlnet", module)
    inputs = {"z": trial.normal(batch, 4, height, width), "context": trial.normal(1, 7, config["cross_attention_dim"]),
              "condition": trial.uniform(0, 1, batch, channels, 8 * height, 8 * width)}

    def forward(given):
        downs, mid = module(given["z"], 999, given["context"].expand(batch, -1, -1), given["condition"], scale, return_dict=False)
        return dict(zip(residual_names(len(downs)), [*downs, mid]))
    compare(trial, "controlnet", module, inputs, forward, model=folder, timestep=999, scale=scale)


@component("controlnet.1")
def controlnet_1(trial):
    compare_controlnet(trial, 1, 2, 8, 10, 1.0)


@component("controlnet.3")
def controlnet_3(trial):
    compare_controlnet(trial, 3, 1, 7, 9, 0.75)


@component("controlnet.8")
def controlnet_8(trial):
    compare_controlnet(trial, 8, 1, 12, 14, 1.0)


@component("controlnet.injection")
def injection(trial):
    """Residuals into the U-Net: skips and middle, with their gradients."""
    module = start(trial, UNet2DConditionModel(**SMALL_SD2))
    folder = save(trial, "unet", module)
    height, width = 15, 10
    sizes, channels = [(height, width)], SMALL_SD2["block_out_channels"]
    while len(sizes) < len(channels):
        sizes.append(tuple((n + 1) // 2 for n in sizes[-1]))
    shapes = [(channels[0], *sizes[0])]
    for i, c in enumerate(channels):
        shapes += [(c, *sizes[i])] * 2
        if i + 1 < len(channels):
            shapes.append((c, *sizes[i + 1]))
    shapes.append((channels[-1], *sizes[-1]))
    names = residual_names(len(shapes) - 1)
    inputs = {"z": trial.normal(2, 4, height, width), "context": trial.normal(1, 5, SMALL_SD2["cross_attention_dim"])}
    inputs |= {name: trial.normal(2, *shape) for name, shape in zip(names, shapes)}

    def forward(given):
        residuals = [given[name] for name in names]
        return {"v": module(given["z"], 999, given["context"].expand(2, -1, -1), return_dict=False,
                            down_block_additional_residuals=residuals[:-1], mid_block_additional_residual=residuals[-1])[0]}
    compare(trial, "unet", module, inputs, forward, model=folder)
