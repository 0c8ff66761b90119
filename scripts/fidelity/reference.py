# SPDX-License-Identifier: MIT
"""Running a torch module as the reference: random weights, forward and backward in float64, and ours beside it.

Weights and inputs are float32 numbers, so that both sides begin with the same ones; what differs is our arithmetic.
"""
import gc

import numpy as np
import torch

QUIET = 0.02  # times weights, so that the variances that norms see come near their epsilon


def start(trial, module, quiet=False, dtype=torch.float64):
    """Random weights that keep variances, or make them small; norms and biases random too. Quiet weights leave the
    attention's logits as they are, or nothing would be left of the keys' gradients."""
    module.eval()
    for name, p in module.named_parameters():
        scale = QUIET if quiet and not any(key in name for key in ("to_q.", "to_k.")) else 1.0
        if p.dim() > 1:
            values = trial.rng.standard_normal(tuple(p.shape), dtype=np.float32)
            values *= np.float32(scale / np.sqrt(p[0].numel()))
        elif "norm" in name and name.endswith(".weight"):
            values = 1 + trial.normal(*p.shape, scale=0.2)
        else:
            values = trial.normal(*p.shape, scale=0.1 * scale)
        p.data = torch.from_numpy(values).to(dtype)
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.data.to(dtype)
    return module


def array(tensor):
    return tensor.detach().to(torch.float32).numpy()


def parameters(module, prefix=""):
    return {prefix + name: array(p) for name, p in module.named_parameters()}


def leaves(inputs, dtype=torch.float64):
    return {k: torch.from_numpy(v).to(dtype).requires_grad_() for k, v in inputs.items()}


def backward(trial, outputs):
    """Random gradients for all outputs, run backward through them; returns them as inputs for ours."""
    gradients = {name: trial.normal(*y.shape) for name, y in outputs.items()}
    torch.autograd.backward(list(outputs.values()),
                            [torch.from_numpy(gradients[name]).to(y.dtype) for name, y in outputs.items()])
    return {"grad." + name: g for name, g in gradients.items()}


def gradient(tensor):
    return np.zeros(tuple(tensor.shape)) if tensor.grad is None else tensor.grad.numpy()


def compare(trial, name, module, inputs, forward, model=None, keep=lambda parameter: True, **keys):
    """Ours and theirs on the same inputs. `forward` maps torch tensors by name to outputs by name. Without a model
    folder the module's parameters travel with the inputs. `keep` chooses the parameters whose gradients ours has."""
    given = leaves(inputs)
    module.zero_grad(set_to_none=True)
    outputs = forward(given)
    file = inputs | backward(trial, outputs)
    if model is None:
        file |= parameters(module, "param.")
    ours = trial.run(name, file, model=model, **keys)
    for output, theirs in outputs.items():
        trial.forward(output, theirs.detach().numpy(), ours[output])
    for leaf, tensor in given.items():
        trial.gradient(leaf, gradient(tensor), ours["grad." + leaf])
    theirs = {n: gradient(p) for n, p in module.named_parameters() if keep(n)}
    prefix = "grad.param."
    trial.parameter_gradients(theirs, {k[len(prefix):]: v for k, v in ours.items() if k.startswith(prefix)})
    trial.shape(*(v.shape for v in inputs.values()))
    gc.collect()
    return outputs, ours
