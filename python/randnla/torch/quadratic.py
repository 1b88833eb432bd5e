# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products with the exact Fisher matrix of a model, for the quadratic that rescales a step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from randnla._backend import validate
from randnla._backend.errors import InputError

from .likelihood import LIKELIHOODS, inner_in_output, tensor_of


def fisher_form(
    model: nn.Module,
    inputs: Any,
    directions: Sequence[Mapping[str, torch.Tensor]],
    *,
    likelihood: str = "categorical",
    output: Callable[[Any], torch.Tensor] | None = None,
) -> npt.NDArray[np.float64]:
    """``<u, F v>`` for all pairs of directions, with the exact Fisher matrix F of a batch.

    Parameters
    ----------
    model : Module
        Compiled or not; it is run uncompiled. Its buffers and the random numbers of torch are left alone,
        and every direction sees the same dropout.
    inputs : tensor, or tuple of arguments
        Of the model, the samples on the first axis of the output.
    directions : sequence of mapping {name of a parameter: tensor}
        The update, and the one before it. A parameter that is left out does not move.
    likelihood : {"categorical", "bernoulli", "gaussian"}, default "categorical"
    output : callable, optional
        As of `KFAC`.

    Returns
    -------
    array of shape (k, k)
        Means over the samples of ``(J u)^T F_R (J v)``, J the Jacobian of the outputs of a sample in the
        parameters and F_R the Fisher matrix of its outputs: the `fisher` of
        `randnla.curvature.minimize_quadratic`.

    Raises
    ------
    InputError
        A direction names no parameter, or is not of its shape.

    Notes
    -----
    *Algorithm*: Martens and Grosse (2015, section 6.4). *Cost*: a forward-mode product with J, about two
    forward passes, a direction.

    Examples
    --------
    >>> import torch
    >>> from randnla.torch import fisher_form
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> fisher_form(model, torch.tensor([[2.0]]), [{"weight": torch.ones(1, 1)}], likelihood="gaussian")
    array([[4.]])
    """
    validate.choice(likelihood, LIKELIHOODS, name="likelihood")
    inner: nn.Module = getattr(model, "_orig_mod", model)
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    parameters = {name: p.detach() for name, p in inner.named_parameters()}
    buffers = {name: b.detach() for name, b in inner.named_buffers()}
    images: list[torch.Tensor] = []
    z = torch.empty(0)
    for direction in directions:
        moved = _tangents(parameters, direction)

        def moving(some: dict[str, torch.Tensor]) -> torch.Tensor:
            kept = {name: b.clone() for name, b in buffers.items()}
            made = torch.func.functional_call(inner, ({**parameters, **some}, kept), args)
            return tensor_of(made, output)

        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # What PyTorch loads at the first product of this kind warns of itself.
            warnings.filterwarnings("ignore", ".*torch.jit.script", DeprecationWarning)
            z, image = torch.func.jvp(moving, ({name: parameters[name] for name in moved},), (moved,))
        images.append(image)
    form = np.zeros((len(images), len(images)))
    for i, u in enumerate(images):
        for j in range(i, len(images)):
            form[i, j] = form[j, i] = float(inner_in_output(z, likelihood, u, images[j])) / len(z)
    return form


def _tangents(
    parameters: Mapping[str, torch.Tensor], direction: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    if not direction:
        raise InputError("directions: expected at least one parameter in each, got an empty mapping")
    made = {}
    for name, tangent in direction.items():
        if name not in parameters:
            raise InputError(f"directions: expected names of parameters of the model, got {name!r}")
        if tangent.shape != parameters[name].shape:
            raise InputError(
                f"directions: expected shape {tuple(parameters[name].shape)} for {name!r}, got "
                f"{tuple(tangent.shape)}"
            )
        made[name] = tangent.detach().to(parameters[name].dtype)
    return made
