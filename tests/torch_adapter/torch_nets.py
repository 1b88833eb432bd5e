# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Small models, and what their layers' statistics are by definition."""

import itertools

import numpy as np
import torch
from torch import nn

from randnla.curvature import Absolute, Exact, Relative, Tikhonov

FORMS = (Exact, Tikhonov, Relative, Absolute)


def mlp(*widths, seed=0, dtype=torch.float64, activation=nn.Tanh, bias=True):
    torch.manual_seed(seed)
    parts = []
    for m, n in itertools.pairwise(widths):
        parts += [nn.Linear(m, n, bias=bias, dtype=dtype), activation()]
    return nn.Sequential(*parts[:-1])


def data(n, inputs, classes, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, inputs, generator=generator, dtype=torch.float64)
    return x.to(dtype), torch.randint(0, classes, (n,), generator=generator)


def backward(model, x, y, reduction="mean", factor=1.0):
    loss = nn.functional.cross_entropy(model(x), y, reduction=reduction) * factor
    loss.backward()
    return loss.detach()


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def recorded(pre):
    """What the engine is given, layer by layer, from now on."""
    seen, accumulate = {}, pre.engine.accumulate

    def record(batches):
        for name, batch in batches.items():
            seen.setdefault(name, []).append(batch)
        return accumulate(batches)

    pre.engine.accumulate = record
    return seen


def by_hand(model, x, loss_of):
    """(a, g) of the Linear layers of a Sequential, for a loss of the output."""
    pairs, handles = {}, []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):

            def keep(module, args, output, name=name):
                pairs[name] = [args[0].detach(), output]

            handles.append(module.register_forward_hook(keep))
    loss = loss_of(model(x))
    for handle in handles:
        handle.remove()
    outputs = [output for _, output in pairs.values()]
    for pair, g in zip(pairs.values(), torch.autograd.grad(loss, outputs), strict=True):
        pair[1] = g
    return {name: (a.numpy(), g.numpy()) for name, (a, g) in pairs.items()}


def factors(a, g):
    """Left and right factor of a Linear layer with a bias, one use a sample."""
    a = np.column_stack([a, np.ones(len(a))])
    return g.T @ g / len(g), a.T @ a / len(a)


def damped(L, R, damping):
    """The dense product of two factors with one of the dampings, by its definition."""
    m, n, value = len(L), len(R), damping.value
    if isinstance(damping, Exact):
        return np.kron(L, R) + value * np.eye(m * n)
    if isinstance(damping, Tikhonov):
        pi = np.sqrt((np.trace(L) / m) / (np.trace(R) / n))
        shifts = np.sqrt(value) * pi, np.sqrt(value) / pi
    elif isinstance(damping, Relative):
        shifts = value * np.linalg.norm(L, 2), value * np.linalg.norm(R, 2)
    else:
        shifts = value, value
    return np.kron(L + shifts[0] * np.eye(m), R + shifts[1] * np.eye(n))


def solved(F, weight, bias):
    """A damped curvature's inverse applied to a gradient (weight, bias), as a matrix with the bias last."""
    V = np.column_stack([weight, bias])
    return np.linalg.solve(F, V.ravel()).reshape(V.shape)
