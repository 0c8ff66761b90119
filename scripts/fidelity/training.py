# SPDX-License-Identifier: MIT
"""Training: AdamW, clipping, the learning rate, whole steps of gen2seg and Prompt2Seg, and a run of 100 steps."""
import json
import math
import os

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from PIL import Image
from safetensors.numpy import save_file

import losses
from networks import BRANCH_KEYS, MINIATURE
from reference import gradient, start
from trial import GRADIENT_LIMIT, SMALL, component, gradient_floor, rms, small

SIGNAL_NOISE = 0.99766725  # sqrt(1 - alpha_bar) at 999, float32
SMALL_VAE = dict(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=small((16, 32, 48), (4, 8, 8)),
                 layers_per_block=1, norm_num_groups=small(8, 4), down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3)
FACTOR = 4  # of that VAE


@component("lr", once=True)
def learning_rate(trial):
    """gen2seg's schedule by its formula and the table of method 2.7; the cosine by its formula."""
    steps = np.unique(np.concatenate([np.arange(0, 40100, small(97, 1000)), [0, 1, 99, 100, 101, 39999, 40000, 40001, 50000]])).astype(np.int32)

    def exponential(n):
        return n / 100 if n < 100 else math.exp(min((n - 100) / 39900, 1) * math.log(0.05))

    def cosine(n):
        return n / 100 if n < 100 else 0.1 + 0.9 * (1 + math.cos(math.pi * min((n - 100) / 39900, 1))) / 2
    keys = {"train.lr": 6e-5, "train.warmup": 100, "train.schedule_steps": 40000}
    for name, rule, more in (("exponential", exponential, {"train.final_ratio": 0.05}), ("cosine", cosine, {"train.final_ratio": 0.1})):
        ours = trial.run("lr", {"steps": steps}, **keys, **more, **{"train.schedule": name})["rates"]
        trial.forward(name, np.array([6e-5 * rule(int(n)) for n in steps]), ours)
        trial.true("the first update has rate 0", ours[0] == 0)
    table = {100: 6.0000e-5, 1000: 5.6080e-5, 5000: 4.1531e-5, 10000: 2.8532e-5, 15000: 1.9602e-5, 20000: 1.3467e-5,
             25000: 9.2519e-6, 30000: 6.3561e-6}
    ours = trial.run("lr", {"steps": np.array(list(table), np.int32)}, **keys, **{"train.schedule": "exponential"})["rates"]
    trial.true("the table of method 2.7", all(f"{a:.4e}" == f"{b:.4e}" for a, b in zip(ours, table.values())))


def torch_adamw(parameters, moments, steps_done, lr):
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    for p, (m, v) in zip(parameters, moments):
        optimizer.state[p] = {"step": torch.tensor(float(steps_done)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    return optimizer


@component("adamw", once=True)
def adamw(trial):
    """torch.optim.AdamW and clip_grad_norm_ in float64, from the first step and from later ones."""
    for done, clip, scale in ((0, 1.0, 10.0), (1, 1.0, 1e-4), (199, 0.0, 1.0), (29999, 1.0, 1.0)):
        shapes = {"a.weight": small((16, 8, 3, 3), (6, 4, 3, 3)), "a.bias": small((16,), (6,)), "b.weight": small((40, 24), (9, 7)), "c": (1,)}
        p, g = ({n: trial.normal(*s, scale=k) for n, s in shapes.items()} for k in (1.0, scale))
        first = {n: trial.normal(*s, scale=scale * (done > 0)) for n, s in shapes.items()}
        second = {n: trial.normal(*s, scale=scale * (done > 0)) ** 2 for n, s in shapes.items()}
        wide = [torch.nn.Parameter(torch.from_numpy(x).double()) for x in p.values()]
        for parameter, x in zip(wide, g.values()):
            parameter.grad = torch.from_numpy(x).double()
        norm = float(torch.nn.utils.clip_grad_norm_(wide, clip)) if clip else math.sqrt(sum(float(np.square(x, dtype=np.float64).sum()) for x in g.values()))
        optimizer = torch_adamw(wide, [(torch.from_numpy(first[n]).double(), torch.from_numpy(second[n]).double()) for n in shapes], done, 6e-5)
        optimizer.step()
        given = {f"{kind}.{n}": x[n] for kind, x in (("param", p), ("g", g), ("m", first), ("v", second)) for n in shapes}
        ours = trial.run("adamw", given, lr=6e-5, clip=clip, step=done)
        for parameter, n in zip(wide, shapes):
            state = optimizer.state[parameter]
            for what, theirs in (("param", parameter), ("m", state["exp_avg"]), ("v", state["exp_avg_sq"])):
                trial.forward(f"{what}.{n}", theirs.detach().numpy(), ours[f"{what}.{n}"])
            # The update itself, which is small beside the parameter, to what float32 parameters can show.
            update, theirs = ours[f"param.{n}"] - p[n].astype(np.float64), parameter.detach().numpy() - p[n]
            trial.true(f"the update of {n}", rms(update - theirs) <= 1e-4 * rms(theirs) + 6e-8 * rms(p[n]))
        trial.forward("norm", np.array([norm]), ours["norm"])
        trial.shape(*shapes.values())


# ---- whole steps ----------------------------------------------------------------------------------------------------


class Models:
    """A small model folder on both sides, with the reference's modules in float64."""

    def __init__(self, trial, branch=False, dtype=torch.float64):
        self.unet, self.vae = start(trial, UNet2DConditionModel(**MINIATURE)), start(trial, AutoencoderKL(**SMALL_VAE))
        self.branch = None
        if branch:
            self.branch = start(trial, ControlNetModel(**{k: MINIATURE[k] for k in BRANCH_KEYS}, conditioning_channels=2,
                                                       conditioning_embedding_out_channels=small((16, 32, 64), (4, 4, 8))))
        self.context, self.folder = trial.normal(77, MINIATURE["cross_attention_dim"]), trial.path("model")
        for name, module in self.parts():
            module.float().save_pretrained(os.path.join(self.folder, name))
        self.use(dtype)
        save_file({"train": self.context, "infer": self.context[:2].copy()}, os.path.join(self.folder, "empty_prompt.safetensors"))
        self.vae.requires_grad_(False)

    def use(self, dtype):
        self.dtype = dtype
        for _, module in self.parts():
            module.to(dtype)

    def parts(self):
        return [(n, m) for n, m in (("unet", self.unet), ("vae", self.vae), ("controlnet", self.branch)) if m is not None]

    def latent(self, image):
        return self.vae.encode(torch.from_numpy(image).to(self.dtype)).latent_dist.mode() * self.vae.config.scaling_factor

    def image(self, v):
        """From the prediction to the normalised image over the batch."""
        y = self.vae.decode(-SIGNAL_NOISE * v / self.vae.config.scaling_factor, return_dict=False)[0]
        return losses.training_range(y)

    def context_for(self, batch):
        return torch.from_numpy(self.context).to(self.dtype).expand(batch, -1, -1)

    def gen2seg(self, image):
        """What is shown, [N,3,H,W] in 0..255."""
        return self.image(self.unet(self.latent(image), 999, self.context_for(len(image)), return_dict=False)[0])

    def prompt2seg(self, image, condition):
        z, context = self.latent(image), self.context_for(len(image))
        downs, mid = self.branch(z, 999, context, torch.from_numpy(condition).to(self.dtype), 1.0, return_dict=False)
        v = self.unet(z, 999, context, down_block_additional_residuals=downs, mid_block_additional_residual=mid, return_dict=False)[0]
        return self.image(v)


def gen2seg_loss(shown, labels, flags):
    return losses.batch_loss(shown, labels, flags, lambda p, i, n, b: losses.code_loss(p, i, n, cap=10**9))


def prompt2seg_loss(shown, labels, flags, prompted):
    return losses.batch_loss(shown, labels, flags, lambda p, i, n, b: losses.prompted_loss(p, i, n, torch.from_numpy(prompted[b])))


def draw_step(trial, module, batch, height, width):
    """Inputs of a step, and moments for every parameter as after many steps."""
    inputs = {"image": trial.uniform(-1, 1, batch, 3, height, width), "labels": losses.draw_labels(trial, batch, height, width, 5),
              "no_background": np.array([0, 1][:batch], np.int32), "grad.loss": np.ones(1, np.float32)}
    moments = {}
    for name, p in module.named_parameters():
        moments["m." + name] = trial.normal(*p.shape, scale=1e-3)
        moments["v." + name] = (trial.normal(*p.shape, scale=1e-3) ** 2 + np.float32(1e-7)).astype(np.float32)
    return inputs, moments


def own_rounding(models, module, loss_of, shown_of):
    """The largest error of a parameter's gradient in the reference's own float32, beside its float64."""
    found = []
    for dtype in (torch.float32, torch.float64):
        models.use(dtype)
        named = dict(module.named_parameters())
        gradients = torch.autograd.grad(loss_of(shown_of()), list(named.values()))
        found.append({n: g.double().numpy() for n, g in zip(named, gradients)})
    mine, theirs = found
    weights = {n: n[:-len("bias")] + "weight" if n.endswith(".bias") else n for n in theirs}
    return max(rms(mine[n] - g) / (max(rms(g), gradient_floor(g, theirs[weights[n]])) or 1) for n, g in theirs.items())


def distance(a, b):
    """Of two lists of tensors, beside the length of the first."""
    return math.sqrt(sum(float((x - y).square().sum()) for x, y in zip(a, b)) / sum(float(x.square().sum()) for x in a))


def finish_step(trial, module, loss_of, shown, ours, moments, done):
    """Loss, image, gradients; then clipping and AdamW on both sides.

    Loss and image are each side's own. The gradients are those at the image that ours shows: 300 / (1 + d^2) of the
    loss turns within 1 of 255, so that one pixel near the mean of another instance carries most of the gradient, and
    the rounding of the image, which has its own limit, moves the reference's gradient by hundreds of times as much.
    How far it does is said in the table."""
    prefix, named = "grad.param.", dict(module.named_parameters())
    loss = loss_of(shown)
    there = torch.autograd.grad(loss, list(named.values()), retain_graph=True)
    loss_of(shown + (torch.from_numpy(ours["shown"]) - shown).detach()).backward()
    moved, apart = distance(there, [p.grad for p in named.values()]), rms(ours["shown"] - shown.detach().numpy()) / rms(shown.detach())
    trial.shapes.append(f"images {apart:.1e} apart, which moves theirs by {moved:.1e}, {moved / apart:.0f} times as far")
    trial.forward("loss", loss.detach().reshape(1), ours["loss"])
    trial.forward("shown", shown.detach().numpy(), ours["shown"])
    trial.parameter_gradients({n: gradient(p) for n, p in named.items()},
                              {k[len(prefix):]: x for k, x in ours.items() if k.startswith(prefix)})
    rate = 6e-5 * math.exp((done - 100) / (30000 - 100) * math.log(0.05))
    trial.forward("rate", np.array([rate]), ours["rate"])
    before = {n: p.detach().clone() for n, p in named.items()}
    norm = torch.nn.utils.clip_grad_norm_(list(named.values()), 1.0)
    trial.forward("norm", np.array([float(norm)]), ours["norm"])
    torch_adamw(list(named.values()), [tuple(torch.from_numpy(moments[f"{k}.{n}"]).double() for k in "mv") for n in named],
                done, rate).step()
    for n, p in named.items():
        theirs = p.detach().numpy()
        trial.forward("param." + n, theirs, ours["param." + n])
        update = theirs - before[n].numpy()
        error = rms((ours["param." + n] - before[n].numpy()) - update)
        trial.true(f"the update of {n}: {error:.1e} beside {rms(update):.1e}",
                   error <= 1e-3 * rms(update) + 6e-8 * rms(theirs))


@component("step.gen2seg")
def step_gen2seg(trial):
    """Encoder, U-Net, decoder, normalisation over the batch, loss; weights after update 200.

    Networks of a fixture's size multiply rounding, some draws by hundreds. A fixture, which every device and instruction
    set answers, is the first draw on which the reference's own float32 keeps to a tenth of the limit."""
    while True:
        models = Models(trial)
        inputs, moments = draw_step(trial, models.unet, 2, 24, 20)

        def loss_of(shown):
            return gen2seg_loss(shown, inputs["labels"], inputs["no_background"])
        if not SMALL or own_rounding(models, models.unet, loss_of, lambda: models.gen2seg(inputs["image"])) <= GRADIENT_LIMIT / 10:
            break
    ours = trial.run("step.gen2seg", inputs | moments, model=models.folder, step=199)
    trial.shape(inputs["image"].shape)
    finish_step(trial, models.unet, loss_of, models.gen2seg(inputs["image"]), ours, moments, 199)


def prompt_map(point, height, width, sigma):
    y, x = np.mgrid[:height, :width]
    if point is None:
        return np.zeros((height, width))
    return np.exp(-((y - point[0]) / (sigma * (height - 1))) ** 2 / 2 - ((x - point[1]) / (sigma * (width - 1))) ** 2 / 2)


@component("step.prompt2seg")
def step_prompt2seg(trial):
    """The frozen U-Net with the branch. Ours draws the prompts: where they lie and which ids they name is read off the
    condition's peaks, around which it must be the Gaussian of method 5.3."""
    models = Models(trial, branch=True)
    models.unet.requires_grad_(False)
    inputs, moments = draw_step(trial, models.branch, 2, 24, 20)
    ours = trial.run("step.prompt2seg", inputs | moments, model=models.folder, step=199, **{"prompt.min_area": 4, "prompt.sigma": 0.1})
    condition = ours["prompt"]
    peaks = [[np.unravel_index(c.argmax(), c.shape) if c.any() else None for c in image] for image in condition]
    trial.forward("prompt", np.array([[prompt_map(p, 24, 20, 0.1) for p in row] for row in peaks]), condition)
    prompted = np.array([[labels[p] if p else 0 for p in row] for labels, row in zip(inputs["labels"], peaks)])
    trial.true("a prompt in every image", all(row.any() for row in prompted))
    trial.shape(inputs["image"].shape, condition.shape)
    finish_step(trial, models.branch, lambda shown: prompt2seg_loss(shown, inputs["labels"], inputs["no_background"], prompted),
                models.prompt2seg(inputs["image"], condition), ours, moments, 199)


# ---- a run of 100 steps ---------------------------------------------------------------------------------------------

STEPS, RATE, WARMUP = 100, 1e-5, 10
TRAJECTORY_LIMIT = 1e-4  # of the loss


def curve(models, image, labels, nudge=0):
    """Losses of the reference's own loop; `nudge` moves every weight by some floats, up or down, and back in the end."""
    parameters = list(models.unet.parameters())
    state = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for _ in range(abs(nudge)):
            for p in parameters:
                p.copy_(torch.nextafter(p, torch.tensor(math.copysign(10.0, nudge))))
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    found = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(step / WARMUP, 1)
        optimizer.zero_grad()
        loss = gen2seg_loss(models.gen2seg(image), labels, [0] * len(image))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        found.append(loss.item())
    with torch.no_grad():
        for p, before in zip(parameters, state):
            p.copy_(before)
    return np.array(found)


@component("trajectory", once=True)
def trajectory(trial):
    """100 steps of `p2s train` on two images, beside torch's loop in float32. The limit is 1e-4 of the loss at every
    step. The gradient jumps where the image's largest or smallest value moves to another pixel, and runs that differ
    by rounding may take that jump a step apart. So it is the first draw of images and weights on which the reference
    stays within a third of the limit of itself when all weights differ by one or two floats."""
    while True:
        models = Models(trial, dtype=torch.float32)
        pixels = trial.integers(0, 255, 2, 24, 20, 3).astype(np.uint8)
        labels = losses.draw_labels(trial, 2, 24, 20, 4)
        labels[:, 0, :5] = np.arange(5)  # every id occurs, so that they stay as they are
        image = (pixels.astype(np.float32) / 255 * 2 - 1).transpose(0, 3, 1, 2).copy()
        theirs = curve(models, image, labels)
        drift = 0
        for nudge in (1, -1, 2, -2):
            if drift <= TRAJECTORY_LIMIT / 3:
                drift = max(drift, np.abs(curve(models, image, labels, nudge) / theirs - 1).max())
        if drift <= TRAJECTORY_LIMIT / 3:
            break
    data = trial.path("data")
    for kind, arrays in (("images", pixels), ("labels", labels.astype(np.uint8))):
        os.makedirs(os.path.join(data, kind))
        for i, values in enumerate(arrays):
            Image.fromarray(values).save(os.path.join(data, kind, f"{i}.png"))
    keys = {"run": trial.path("run"), "task": "gen2seg", "model": models.folder, "data.set": "folder", "data.path": data,
            "data.height": 24, "data.width": 20, "data.flip": "false", "train.steps": STEPS, "train.batch": 2,
            "train.lr": RATE, "train.warmup": WARMUP, "train.schedule": "constant", "train.sample_every": 0,
            "train.checkpoint_every": STEPS}
    with open(trial.path("config.yaml"), "w") as file:
        file.writelines(f"{k}: {v}\n" for k, v in keys.items())
    trial.command("train", trial.path("config.yaml"), "--quiet")
    with open(trial.path("run/metrics.jsonl")) as file:
        ours = np.array([json.loads(line)["loss"] for line in file])
    error = np.abs(ours / theirs - 1)
    trial.true(f"{len(ours)} losses", len(ours) == STEPS)
    trial.within("loss", np.zeros(1), [error.max()], TRAJECTORY_LIMIT)
    trial.shapes.append(f"loss {theirs[0]:.4f} to {theirs[-1]:.4f}; theirs from itself {drift:.1e}; "
                        f"ours is furthest at step {error.argmax()}; first 50 steps: {error[:50].max():.1e}")
    trial.shape(image.shape)
