# SPDX-License-Identifier: MIT
"""Every block of the networks alone, at ordinary variances and at ones near the norms' epsilons."""
import torch
from diffusers.models import attention_processor, downsampling, embeddings, resnet, upsampling
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets import unet_2d_blocks as blocks
from torch.nn.functional import silu

from reference import compare, start
from trial import component, small

WIDE, NARROW, GROUPS, CONTEXT, TIME = small((96, 64, 32, 40, 128), (12, 8, 4, 6, 10))
PREVIOUS = 2 * NARROW
VARIANTS = (("plain", False, 1.0), ("quiet", True, 0.01))


def with_time(module, time):
    """Hands `time` to every projection of the time embedding: ours takes the embedding after its SiLU."""
    hooks = [m.time_emb_proj.register_forward_pre_hook(lambda _, given: (time.expand(given[0].shape[0], -1),))
             for m in module.modules() if getattr(m, "time_emb_proj", None) is not None]
    assert hooks
    return hooks


def compare_timed(trial, name, module, inputs, forward, batch, **keys):
    """compare() for a module whose forward takes a time embedding as its second argument."""
    def timed(given):
        hooks = with_time(module, given["time"])
        outputs = forward(given, torch.zeros(batch, TIME, dtype=torch.float64))
        for hook in hooks:
            hook.remove()
        return outputs
    compare(trial, name, module, inputs, timed, **keys)


def time_input(trial):
    return trial.normal(1, TIME)


@component("block.resnet")
def resnet_block(trial):
    for _, quiet, scale in VARIANTS:
        for channels in (NARROW, WIDE):  # without and with a shortcut
            module = start(trial, resnet.ResnetBlock2D(in_channels=NARROW, out_channels=channels, temb_channels=TIME,
                                                       groups=GROUPS, eps=1e-5), quiet)
            inputs = {"x": trial.normal(2, NARROW, 9, 12, scale=scale), "time": time_input(trial)}
            compare_timed(trial, "block.resnet", module, inputs,
                          lambda given, emb, m=module: {"y": m(given["x"], emb)}, 2, groups=GROUPS, eps=1e-5)
        module = start(trial, resnet.ResnetBlock2D(in_channels=NARROW, out_channels=WIDE, temb_channels=None,
                                                   groups=GROUPS, eps=1e-6), quiet)
        compare(trial, "block.resnet", module, {"x": trial.normal(1, NARROW, 8, 7, scale=scale)},
                lambda given, m=module: {"y": m(given["x"], None)}, groups=GROUPS, eps=1e-6)


@component("block.transformer")
def transformer(trial):
    for _, quiet, scale in VARIANTS:
        for linear in (True, False):
            module = start(trial, Transformer2DModel(num_attention_heads=3, attention_head_dim=WIDE // 3, in_channels=WIDE,
                                                     cross_attention_dim=CONTEXT, norm_num_groups=GROUPS,
                                                     use_linear_projection=linear), quiet)
            for contexts in (1, 2):
                inputs = {"x": trial.normal(2, WIDE, 6, 9, scale=scale), "context": trial.normal(contexts, 7, CONTEXT)}
                compare(trial, "block.transformer", module, inputs,
                        lambda given, m=module: {"y": m(given["x"], given["context"].expand(2, -1, -1), return_dict=False)[0]},
                        heads=3, groups=GROUPS)


@component("block.attention")
def vae_attention(trial):
    for _, quiet, scale in VARIANTS:
        module = start(trial, attention_processor.Attention(
            WIDE, heads=1, dim_head=WIDE, eps=1e-6, norm_num_groups=GROUPS, residual_connection=True, bias=True,
            upcast_softmax=True, _from_deprecated_attn_block=True), quiet)
        compare(trial, "block.attention", module, {"x": trial.normal(2, WIDE, 7, 9, scale=scale)},
                lambda given, m=module: {"y": m(given["x"])}, groups=GROUPS, eps=1e-6)


@component("block.downsample")
def downsample(trial):
    for form, padding in (("unet", 1), ("vae", 0)):
        module = start(trial, downsampling.Downsample2D(WIDE, use_conv=True, padding=padding, name="op"))
        for size in ((8, 12), (15, 9)):
            compare(trial, "block.downsample", module, {"x": trial.normal(2, WIDE, *size)},
                    lambda given, m=module: {"y": m(given["x"])}, form=form)


@component("block.upsample")
def upsample(trial):
    module = start(trial, upsampling.Upsample2D(WIDE, use_conv=True))
    for size, target in (((6, 5), None), ((8, 10), (15, 20)), ((12, 32), (23, 64)), ((6, 16), (12, 31))):
        keys = dict(height=target[0], width=target[1]) if target else {}
        compare(trial, "block.upsample", module, {"x": trial.normal(1, WIDE, *size)},
                lambda given, t=target: {"y": module(given["x"], output_size=t)}, **keys)


@component("block.time")
def time_embedding(trial):
    """The sinusoid is float32 on both sides; its exponentials may differ by an ulp, times 999 (method 1.4)."""
    for width in small((48, 320), (16,)):
        sinusoid = embeddings.Timesteps(width, True, 0)
        module = start(trial, embeddings.TimestepEmbedding(width, 4 * width))
        for timestep in (0, 1, 499, 999):
            row = sinusoid(torch.tensor([timestep])).double()
            compare(trial, "block.time", module, {}, lambda given: {"time": silu(module(row))}, timestep=timestep)
            trial.shape((1, width))


@component("block.down")
def down(trial):
    common = dict(in_channels=NARROW, out_channels=WIDE, temb_channels=TIME, num_layers=2, resnet_eps=1e-5,
                  resnet_groups=GROUPS, downsample_padding=1)
    for _, quiet, scale in VARIANTS:
        for attention in (True, False):
            for sampler in (True, False):
                inputs = {"x": trial.normal(2, NARROW, 9, 10, scale=scale), "time": time_input(trial)}
                if attention:
                    module = blocks.CrossAttnDownBlock2D(**common, num_attention_heads=3, cross_attention_dim=CONTEXT,
                                                         use_linear_projection=True, add_downsample=sampler)
                    inputs["context"] = trial.normal(2, 5, CONTEXT)
                else:
                    module = blocks.DownBlock2D(**common, add_downsample=sampler)
                start(trial, module, quiet)

                def forward(given, emb, m=module):
                    context = {"encoder_hidden_states": given["context"]} if "context" in given else {}
                    return {f"skip.{i}": y for i, y in enumerate(m(given["x"], emb, **context)[1])}
                compare_timed(trial, "block.down", module, inputs, forward, 2, groups=GROUPS, eps=1e-5, layers=2,
                              heads=3 if attention else 0, sampler=sampler)


@component("block.mid")
def middle(trial):
    for _, quiet, scale in VARIANTS:
        module = start(trial, blocks.UNetMidBlock2DCrossAttn(in_channels=WIDE, temb_channels=TIME, resnet_eps=1e-5,
                                                             resnet_groups=GROUPS, num_attention_heads=3,
                                                             cross_attention_dim=CONTEXT, use_linear_projection=True), quiet)
        inputs = {"x": trial.normal(2, WIDE, 8, 10, scale=scale), "time": time_input(trial), "context": trial.normal(2, 77, CONTEXT)}
        compare_timed(trial, "block.mid", module, inputs,
                      lambda given, emb, m=module: {"y": m(given["x"], emb, encoder_hidden_states=given["context"])}, 2,
                      groups=GROUPS, eps=1e-5, heads=3)


@component("block.up")
def up(trial):
    common = dict(in_channels=NARROW, out_channels=WIDE, prev_output_channel=PREVIOUS, temb_channels=TIME, num_layers=3,
                  resnet_eps=1e-5, resnet_groups=GROUPS)
    for _, quiet, scale in VARIANTS:
        for attention in (True, False):
            for target in ((15, 20), (16, 20), None):
                # The last block's outside is itself, so its skips are as wide as its result.
                outside = NARROW if target else WIDE
                shape = common | dict(in_channels=outside, add_upsample=target is not None)
                if attention:
                    module = blocks.CrossAttnUpBlock2D(**shape, num_attention_heads=3, cross_attention_dim=CONTEXT,
                                                       use_linear_projection=True)
                else:
                    module = blocks.UpBlock2D(**shape)
                start(trial, module, quiet)
                inputs = {"x": trial.normal(2, PREVIOUS, 8, 10, scale=scale), "time": time_input(trial)}
                if attention:
                    inputs["context"] = trial.normal(2, 5, CONTEXT)
                first = 1 if target else 0  # below the skips that are used stands one that only tells a size
                skips = [outside, WIDE, WIDE]
                if target:
                    inputs["skip.0"] = trial.normal(2, NARROW, *target)
                for i, channels in enumerate(skips):
                    inputs[f"skip.{first + i}"] = trial.normal(2, channels, 8, 10, scale=scale)

                def forward(given, emb, m=module, first=first, target=target):
                    context = {"encoder_hidden_states": given["context"]} if "context" in given else {}
                    return {"y": m(given["x"], tuple(given[f"skip.{first + i}"] for i in range(3)), emb,
                                   upsample_size=target, **context)}
                compare_timed(trial, "block.up", module, inputs, forward, 2, groups=GROUPS, eps=1e-5, layers=2,
                              heads=3 if attention else 0, sampler=target is not None)


@component("block.vae_down")
def vae_down(trial):
    for _, quiet, scale in VARIANTS:
        for sampler in (True, False):
            module = start(trial, blocks.DownEncoderBlock2D(in_channels=NARROW, out_channels=WIDE, num_layers=2, resnet_eps=1e-6,
                                                            resnet_groups=GROUPS, add_downsample=sampler, downsample_padding=0), quiet)
            compare(trial, "block.vae_down", module, {"x": trial.normal(2, NARROW, 11, 14, scale=scale)},
                    lambda given, m=module: {"y": m(given["x"])}, groups=GROUPS, layers=2, sampler=sampler)


@component("block.vae_up")
def vae_up(trial):
    for _, quiet, scale in VARIANTS:
        for sampler in (True, False):
            module = start(trial, blocks.UpDecoderBlock2D(in_channels=WIDE, out_channels=NARROW, num_layers=3, resnet_eps=1e-6,
                                                          resnet_groups=GROUPS, add_upsample=sampler), quiet)
            compare(trial, "block.vae_up", module, {"x": trial.normal(2, WIDE, 7, 9, scale=scale)},
                    lambda given, m=module: {"y": m(given["x"])}, groups=GROUPS, layers=2, sampler=sampler)


@component("block.vae_mid")
def vae_middle(trial):
    for _, quiet, scale in VARIANTS:
        module = start(trial, blocks.UNetMidBlock2D(in_channels=WIDE, temb_channels=None, resnet_eps=1e-6, resnet_groups=GROUPS,
                                                    attention_head_dim=WIDE), quiet)
        compare(trial, "block.vae_mid", module, {"x": trial.normal(2, WIDE, 9, 8, scale=scale)},
                lambda given, m=module: {"y": m(given["x"])}, groups=GROUPS)
