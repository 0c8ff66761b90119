#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/fixtures: what diffusers answers for small networks, in float64, and what the references answer for the
other components of `p2s run` (tests/fixtures/run, by scripts/fidelity).

Weights, inputs and probes are a hash of (name, index), so that the C tests make the same ones
without storing them (tests/test_reference.c). Of a gradient only its product with a probe is kept.

    pip install -r scripts/fidelity/requirements.txt
    P2S_PROGRAM=build/release/p2s python scripts/make_fixtures.py tests/fixtures
"""
import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.numpy import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fidelity"))
import image as images  # scripts/fidelity/image.py
import text as texts  # scripts/fidelity/text.py

OUT = sys.argv[1]


def hashed(name, count):
    """count values in [-1, 1), a function of the name (FNV-1a) and the index."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + seed) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x ^= x >> np.uint64(shift)
        x = x * factor & 0xFFFFFFFF
    return x.astype(np.float64) / 2**31 - 1


def start(model):
    model.double()
    for name, p in model.named_parameters():
        u = hashed(name, p.numel()).reshape(tuple(p.shape))
        if p.dim() > 1:
            u = u * np.sqrt(3 / p[0].numel())
        else:
            u = 1 + 0.2 * u if name.endswith(".weight") else 0.1 * u
        p.data.copy_(torch.from_numpy(u))
    return model


def image(name, *shape):
    """Hashed in N,H,W,C order, as a leaf in N,C,H,W."""
    values = torch.from_numpy(hashed(name, int(np.prod(shape))).reshape(shape))
    return values.permute(0, 3, 1, 2).contiguous().requires_grad_()


def tokens(name, *shape):
    return torch.from_numpy(hashed(name, int(np.prod(shape))).reshape(shape)).requires_grad_()


def last(x):
    return x.detach().permute(0, 2, 3, 1).contiguous().numpy()


def probe(name, gradient):
    return float((hashed(name + ".probe", gradient.numel()) * gradient.detach().numpy().ravel()).sum())


def save(case, model, outputs, inputs):
    """outputs: name -> NCHW tensor; the loss is the sum of their products with probes."""
    model.zero_grad()
    loss = 0
    for name, y in outputs.items():
        nhwc = y.permute(0, 2, 3, 1)
        weight = torch.from_numpy(hashed(name + ".probe", nhwc.numel()).reshape(tuple(nhwc.shape)))
        loss = loss + (nhwc * weight).sum()
    loss.backward()
    names = sorted(name for name, _ in model.named_parameters())
    params = dict(model.named_parameters())
    grads = [0.0 if params[n].grad is None else probe(n, params[n].grad) for n in names]
    kept = {name: last(y) for name, y in outputs.items()}
    kept["gradients"] = np.array(grads)
    for name, x in inputs.items():
        g = x.grad.permute(0, 2, 3, 1).contiguous() if x.dim() == 4 else x.grad
        kept["d" + name] = np.array([probe(name, g)])
    save_file(kept, os.path.join(OUT, case + ".safetensors"))
    with open(os.path.join(OUT, case + ".json"), "w") as file:
        file.write(model.config.to_json_string() if isinstance(model, CLIPTextModel) else model.to_json_string())
    print(case, len(names), sum(p.numel() for p in params.values()))


MINI = dict(sample_size=16, in_channels=4, out_channels=4, block_out_channels=(48, 64), layers_per_block=1, norm_num_groups=8,
            cross_attention_dim=32, attention_head_dim=(3, 4), use_linear_projection=True,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
SD2 = dict(sample_size=16, in_channels=4, out_channels=4, block_out_channels=(16, 32, 32, 48), layers_per_block=2, norm_num_groups=8,
           cross_attention_dim=24, attention_head_dim=(2, 4, 4, 3), use_linear_projection=True,
           down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",), up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)
SD15 = SD2 | dict(attention_head_dim=8, use_linear_projection=False)
VAE = dict(sample_size=64, in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(16, 32, 48), layers_per_block=1,
           norm_num_groups=8, down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3)
ENCODER_KEYS = ("in_channels", "block_out_channels", "layers_per_block", "norm_num_groups", "cross_attention_dim", "attention_head_dim",
                "use_linear_projection", "down_block_types")


def unet(case, config, batch, height, width, timestep):
    model = start(UNet2DConditionModel(**config))
    z, context = image("z", batch, height, width, 4), tokens("context", 1, 5, config["cross_attention_dim"])
    v = model(z, timestep, context.expand(batch, -1, -1), return_dict=False)[0]
    save(case, model, {"v": v}, {"z": z, "context": context})


def vae():
    model = start(AutoencoderKL(**VAE))
    x, latent = image("image", 2, 21, 30, 3), image("latent", 1, 5, 7, 4)
    moments = model.quant_conv(model.encoder(x))
    y = model.decode(latent / model.config.scaling_factor, return_dict=False)[0]
    save("vae", model, {"moments": moments, "decoded": y}, {"image": x, "latent": latent})


def controlnet(case, config, embedding, batch, height, width):
    extra = dict(conditioning_channels=2, conditioning_embedding_out_channels=embedding)
    model = start(ControlNetModel(**{k: config[k] for k in ENCODER_KEYS}, **extra))
    base = start(UNet2DConditionModel(**config))
    factor = 2 ** (len(embedding) - 1)
    z, context = image("z", batch, height, width, 4), tokens("context", 1, 5, config["cross_attention_dim"])
    condition = image("condition", batch, factor * height, factor * width, 2)
    shared = context.expand(batch, -1, -1)
    downs, mid = model(z, 1, shared, condition, 0.75, return_dict=False)
    v = base(z, 1, shared, down_block_additional_residuals=downs, mid_block_additional_residual=mid, return_dict=False)[0]
    save(case, model, {"v": v}, {"z": z, "context": context, "condition": condition})
    with open(os.path.join(OUT, case + "_unet.json"), "w") as file:
        file.write(base.to_json_string())


def text(case, activation):
    model = start(CLIPTextModel(CLIPTextConfig(vocab_size=50, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
                                               max_position_embeddings=9, hidden_act=activation)))
    torch.set_default_dtype(torch.float64)  # of the mask
    hidden = model(torch.tensor([[i * i * 7 % 50 for i in range(n, n + 7)] for n in (0, 11)])).last_hidden_state
    torch.set_default_dtype(torch.float32)
    save(case, model, {"hidden": hidden.permute(0, 2, 1).unsqueeze(2)}, {})


def tokenizer():
    """Vocabulary and merges of the fidelity suite, and what CLIPTokenizerFast makes of some strings."""
    folder = os.path.join(OUT, "text", "tokenizer")
    texts.write_tokenizer(folder, "old")
    fast, young = CLIPTokenizerFast.from_pretrained(folder), texts.new_marks()
    chosen = ["".join(c for c in s if c not in young) for s in texts.strings(np.random.default_rng(1), 400)]
    rows = [{"text": s, "ids": fast(s).input_ids} for s in chosen if len(s) < 600]
    with open(os.path.join(OUT, "text", "strings.json"), "w", encoding="utf-8") as file:
        file.write("[" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "]\n")
    print("tokenizer", len(rows))


def edges():
    """OpenCV's Canny without thresholds on noise, on a few equal levels, and on one channel."""
    kept = {}
    for i, (height, width, channels, step) in enumerate([(24, 31, 3, 1), (33, 20, 3, 64), (17, 29, 1, 32)]):
        noise = hashed(f"edges {i}", height * width * channels).reshape(height, width, channels)
        blurred = cv2.GaussianBlur(noise, (0, 0), 1.5).reshape(noise.shape)
        levels = (np.clip(128 + 600 * blurred, 0, 255) // step * step).astype(np.uint8)
        kept[f"image.{i}"] = levels
        kept[f"edges.{i}"] = (cv2.Canny(levels, 0, 0, apertureSize=3, L2gradient=True) > 0).astype(np.uint8)
    save_file(kept, os.path.join(OUT, "edges.safetensors"))


def bsds500():
    y, x = np.mgrid[:6, :9]
    cells = np.empty((1, 2), object)
    for a in range(2):
        row = (1 + (7 * a + 3 * y + 5 * x) % 300).astype(np.uint16), (a + y + 2 * x) % 3 == 0
        cells[0, a] = np.array([[row]], [("Segmentation", object), ("Boundaries", object)])
    for name, packed in (("bsds500.mat", True), ("bsds500_plain.mat", False)):
        images.write_mat(os.path.join(OUT, name), {"groundTruth": cells}, packed)
    images.write_mat(os.path.join(OUT, "other.mat"), {"ucm2": np.zeros((2, 2))}, False)


RECORDED = ("block,normalise,schedule,v_to_x0,loss,lr,adamw,step,interop.predict,resize,resize.float,read,rle,rle.counts,polygon,joint_bilateral,"
            "gaussian_query,point_mask,components,distance,next_point,edges")


def components():
    """The rest, for tests/test_run_fixtures.c: small cases of the fidelity suite that were found good."""
    folder = os.path.join(OUT, "run")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    suite = os.path.join(os.path.dirname(texts.__file__), "suite.py")
    keys = {"P2S_PROGRAM": os.path.abspath(os.environ["P2S_PROGRAM"]), "P2S_DATA": "/nonexistent"}
    subprocess.run([sys.executable, suite, "--record", folder, "--kernels", "fast", "--only", RECORDED], check=True,
                   env=os.environ | keys)


def fingerprint(name, cls, **config):
    """FNV-1a (64 bits) of the sorted names and shapes, for the full-size networks."""
    with torch.device("meta"):
        state = cls(**config).state_dict()
    lines = sorted(f"{k} {','.join(map(str, v.shape))}\n" for k, v in state.items())
    value = 14695981039346656037
    for byte in "".join(lines).encode():
        value = (value ^ byte) * 1099511628211 % 2**64
    return {"tensors": len(lines), "parameters": sum(v.numel() for v in state.values()), "names": f"{value:016x}"}


FULL = dict(sample_size=96, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",), up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True, norm_num_groups=32)
FULL15 = FULL | dict(attention_head_dim=8, cross_attention_dim=768, use_linear_projection=False)
FULL_VAE = dict(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)


def text_model(**config):
    return CLIPTextModel(CLIPTextConfig(**config))


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    unet("unet_miniature", MINI, 2, 16, 25, 1)
    unet("unet_sd2", SD2, 2, 12, 23, 1)
    unet("unet_sd15", SD15, 1, 8, 16, 1)
    unet("unet_t999", MINI, 1, 8, 8, 999)
    vae()
    controlnet("controlnet_miniature", MINI, (16, 32, 64), 2, 6, 9)
    controlnet("controlnet_sd2", SD2, (4, 8, 8, 12), 1, 12, 11)
    text("text_gelu", "gelu")
    text("text_quick_gelu", "quick_gelu")
    tokenizer()
    edges()
    bsds500()
    components()
    branch = {k: FULL[k] for k in ENCODER_KEYS}
    full = {"unet sd2": fingerprint("unet", UNet2DConditionModel, **FULL), "unet sd15": fingerprint("unet", UNet2DConditionModel, **FULL15),
            "vae sd2": fingerprint("vae", AutoencoderKL, **FULL_VAE),
            "text sd2": fingerprint("text", text_model, **texts.TOWERS["sd2"]), "text sd15": fingerprint("text", text_model, **texts.TOWERS["sd15"]),
            "controlnet sd2 1": fingerprint("controlnet", ControlNetModel, **branch, conditioning_channels=1),
            "controlnet sd2 3": fingerprint("controlnet", ControlNetModel, **branch, conditioning_channels=3)}
    with open(os.path.join(OUT, "full_size.json"), "w") as file:
        json.dump(full, file, indent=2)
        file.write("\n")
