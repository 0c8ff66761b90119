# SPDX-License-Identifier: MIT
"""Files both ways: folders that ours writes in diffusers, folders that diffusers writes in ours, and a gen2seg-style
folder through `p2s predict` beside the reference pipeline."""
import os

import numpy as np
import torch
from diffusers import (AutoencoderKL, ControlNetModel, DDPMScheduler, StableDiffusionControlNetPipeline,
                       StableDiffusionPipeline, UNet2DConditionModel)
from diffusers.utils import logging
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

import losses
from image import filtered, picture
from networks import MINIATURE, SMALL_SD2, VAE, save
from reference import start
from trial import component, small

RESOLUTION = small(128, 32)
logging.disable_progress_bar()
logging.set_verbosity_error()


@component("interop.written", once=True)
def written(trial):
    """p2s init, then from_pretrained of every class; outputs of both agree."""
    folder = trial.path("written")
    trial.command("init", "miniature", "--controlnet", "--seed", trial.seed % 2**31, "--out", folder)
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae")
    branch = ControlNetModel.from_pretrained(folder, subfolder="controlnet")
    pipe = StableDiffusionControlNetPipeline.from_pretrained(folder, text_encoder=None, tokenizer=None, safety_checker=None,
                                                             feature_extractor=None)
    trial.true("the pipeline's U-Net is ours", all(torch.equal(a, b) for a, b in zip(pipe.unet.parameters(), unet.parameters())))
    trial.true("the scheduler predicts v", pipe.scheduler.config.prediction_type == "v_prediction")
    plain = trial.path("plain")
    trial.command("init", "miniature", "--seed", 3, "--out", plain)
    trial.true("StableDiffusionPipeline opens", StableDiffusionPipeline.from_pretrained(
        plain, text_encoder=None, tokenizer=None, safety_checker=None, feature_extractor=None).unet is not None)
    z, context = trial.normal(1, 4, 16, 16), trial.normal(1, 5, 32)
    image, condition = trial.uniform(-1, 1, 1, 3, 64, 64), trial.uniform(0, 1, 1, branch.config.conditioning_channels, 64, 64)
    for module in (unet, vae, branch):
        module.double()
    torch_z, torch_context = torch.from_numpy(z).double(), torch.from_numpy(context).double()
    with torch.no_grad():
        v = unet(torch_z, 999, torch_context, return_dict=False)[0]
        mean = vae.encode(torch.from_numpy(image).double()).latent_dist.mode() * vae.config.scaling_factor
        decoded = vae.decode(torch_z / vae.config.scaling_factor, return_dict=False)[0]
        downs, mid = branch(torch_z, 999, torch_context, torch.from_numpy(condition).double(), 1.0, return_dict=False)
    trial.forward("unet", v.numpy(), trial.run("unet", {"z": z, "context": context}, model=folder)["v"])
    trial.forward("vae.encode", mean.numpy(), trial.run("vae.encode", {"image": image}, model=folder)["latent"])
    trial.forward("vae.decode", decoded.numpy(), trial.run("vae.decode", {"latent": z}, model=folder)["image"])
    ours = trial.run("controlnet", {"z": z, "context": context, "condition": condition}, model=folder)
    for i, y in enumerate(downs):
        trial.true("the branch starts closed", not y.any() and not ours[f"residual.{i}"].any())


def loads(trial, what, folder, module, inputs):
    """Ours from that folder against the module in float64."""
    with torch.no_grad():
        v = module.double()(torch.from_numpy(inputs["z"]).double(), 999, torch.from_numpy(inputs["context"]).double(), return_dict=False)[0]
    trial.forward(what, v.numpy(), trial.run("unet", inputs, model=folder)["v"])


@component("interop.read", once=True)
def read(trial):
    """float32, float16 and its variant, shards with an index, old names of the VAE's attention, all by diffusers."""
    module = start(trial, UNet2DConditionModel(**SMALL_SD2), dtype=torch.float32)
    inputs = {"z": trial.normal(1, 4, 16, 12), "context": trial.normal(1, 5, SMALL_SD2["cross_attention_dim"])}
    for what, half, more in (("float32", False, {}), ("shards", False, {"max_shard_size": "500KB"}),
                             ("float16", True, {}), ("fp16 variant", True, {"variant": "fp16"})):
        folder = trial.path(what)
        module.float()
        if half:
            module.half()
        module.save_pretrained(os.path.join(folder, "unet"), **more)
        files = os.listdir(os.path.join(folder, "unet"))
        trial.true(f"{what}: {files}", ("shards" in what) == any(name.endswith(".index.json") for name in files)
                   and ("variant" in what) == any(".fp16." in name for name in files))
        loads(trial, what, folder, module, inputs)
    vae = start(trial, AutoencoderKL(**VAE))
    folder = save(trial, "vae", vae)
    path = os.path.join(folder, "vae/diffusion_pytorch_model.safetensors")
    latent = trial.normal(1, 4, 5, 6)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, values in load_file(path).items():
        for now, before in old.items():
            name = name.replace(f"attentions.0.{now}.", f"attentions.0.{before}.")
        tensors[name] = values
    trial.true("names are old", any(".proj_attn." in name for name in tensors))
    save_file(tensors, path)
    theirs = AutoencoderKL.from_pretrained(folder, subfolder="vae").double()
    with torch.no_grad():
        image = theirs.decode(torch.from_numpy(latent).double() / 0.18215, return_dict=False)[0]
    ours = trial.run("vae.decode", {"latent": latent}, model=folder)["image"]
    trial.forward("old names", image.numpy(), ours)
    older = {n: v[..., None, None] if ".attentions.0." in n and v.ndim == 2 else v for n, v in tensors.items()}
    save_file({n: np.ascontiguousarray(v) for n, v in older.items()}, path)  # 1 x 1 convolutions: diffusers takes them no more
    trial.true("older shapes change nothing", np.array_equal(ours, trial.run("vae.decode", {"latent": latent}, model=folder)["image"]))
    trial.shape(inputs["z"].shape, latent.shape)


# ---- the whole pipeline ---------------------------------------------------------------------------------------------


def feature_image(unet, vae, context, pixels, resolution):
    """Method 3.1, step by step, in float32: the decoded image [h,w,3] in 0..255 and the 8-bit one at the input's size."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    x = torch.from_numpy(pixels).float().permute(2, 0, 1)[None] / 255 * 2 - 1
    size = (height * resolution // longest, width * resolution // longest)
    x = torch.nn.functional.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    x = torch.nn.functional.pad(x, (0, -size[1] % factor, 0, -size[0] % factor), mode="replicate")
    z = vae.encode(x).latent_dist.mode() * vae.config.scaling_factor
    scheduler = DDPMScheduler(**{k: v for k, v in losses.SCHEDULER.items() if k != "set_alpha_to_one"})
    scheduler.set_timesteps(1)
    v = unet(z, 999, context, return_dict=False)[0]
    clean = scheduler.step(v, 999, z).pred_original_sample
    y = losses.inference_range(vae.decode(clean / vae.config.scaling_factor, return_dict=False)[0])
    y = y[0, :, :size[0], :size[1]].permute(1, 2, 0).numpy()
    return y, np.array(Image.fromarray(y.astype(np.uint8)).resize((width, height), Image.LANCZOS))


def text_folder(trial, folder):
    """The reference's answers to the empty prompt, from a small random text encoder."""
    torch.manual_seed(trial.seed)
    tower = CLIPTextModel(CLIPTextConfig(vocab_size=300, hidden_size=MINIATURE["cross_attention_dim"], intermediate_size=64,
                                         num_hidden_layers=2, num_attention_heads=2, hidden_act="gelu")).eval()
    answers = {}
    for name, ids in (("train", [298, 299] + [0] * 75), ("infer", [298, 299])):
        answers[name] = tower(torch.tensor([ids]))[0][0].detach().numpy()
    save_file(answers, os.path.join(folder, "empty_prompt.safetensors"))
    return torch.from_numpy(answers["infer"])[None]


def overlap(a, b):
    union = (a | b).sum()
    return (a & b).sum() / union if union else 1.0


@component("interop.predict", once=True)
def predict(trial):
    """A folder saved by diffusers through `p2s predict`: the decoded image is within 0.1 of 255, so that the 8-bit ones
    differ by 1 where a fraction is dropped on another side, and rarely. From the same 8-bit image comes the same mask."""
    unet = start(trial, UNet2DConditionModel(**MINIATURE), dtype=torch.float32)
    vae = start(trial, AutoencoderKL(**VAE), dtype=torch.float32)
    folder = trial.path("gen2seg")
    StableDiffusionPipeline(vae=vae, unet=unet, text_encoder=None, tokenizer=None, safety_checker=None, feature_extractor=None,
                            scheduler=DDPMScheduler(**{k: v for k, v in losses.SCHEDULER.items() if k != "set_alpha_to_one"}),
                            requires_safety_checker=False).save_pretrained(folder)
    context = text_folder(trial, folder)
    differing, least = [], 1.0
    for height, width in small(((90, 141), (128, 96), (190, 61)), ((26, 35),)):
        pixels = picture(trial, height, width)
        Image.fromarray(pixels).save(trial.path("image.png"))
        with torch.no_grad():
            decoded, theirs = feature_image(unet, vae, context, pixels, RESOLUTION)
        ours = trial.run("predict", {"image": pixels}, model=folder, resolution=RESOLUTION)
        trial.within("decoded, of 255", decoded, ours["decoded"], 0.1)
        error = np.abs(ours["features"].astype(int) - theirs)
        differing.append((error > 0).mean())
        trial.true(f"8-bit values differ by {error.max()}", error.max() <= 1)
        for point in ((width // 3, height // 2), (width - 2, 5)):
            trial.command("predict", "--model", folder, "--image", trial.path("image.png"), "--point", f"{point[0]},{point[1]}",
                          "--resolution", RESOLUTION, "--prompting", "posthoc", "--out", trial.path("mask.png"),
                          "--features", trial.path("features.png"))
            shown, mask = (np.array(Image.open(trial.path(name))) for name in ("features.png", "mask.png"))
            trial.true("the command's feature image is the component's", np.array_equal(shown, ours["features"]))
            trial.true("masks of one feature image differ", np.array_equal(mask > 0, reference_mask(shown, point)))
            least = min(least, overlap(mask > 0, reference_mask(theirs, point)))
    trial.true(f"{np.mean(differing):.2%} of the 8-bit values differ", np.mean(differing) <= 0.005)
    trial.true(f"masks overlap to {least:.4f}", least >= 0.99)
    trial.shapes.append(f"3 images, 6 points; {np.mean(differing):.3%} of 8-bit values differ by 1, masks overlap to {least:.4f}")


def reference_mask(features, point):
    """Method 3.2 to 3.5 with the paper's clamp, as `p2s predict` has it by default."""
    return filtered(features, point, 0.01, "paper") > 3
