# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kronecker-factored preconditioning of a PyTorch model, between its backward pass and any optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from randnla import curvature as engines
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.rng import seed_from
from randnla._backend.state import reading
from randnla.curvature.report import Line, Report

from .capture import Capture, arrays_of
from .likelihood import LIKELIHOODS, Likelihood
from .modules import covered_by

CURVATURES = {
    "rs": "RSKFAC",
    "sre": "SREKFAC",
    "exact": "KFAC",
    "ekfac": "EKFAC",
    "brand": "BrandKFAC",
    "kld_wrm": "KLDWRM",
    "seng": "SENG",
}
_OF_NUMPY = (torch.float32, torch.float64, torch.int64, torch.int32)
FISHERS = ("mc", "empirical", "ggn")


class KFAC:
    """Preconditions the gradients of a model in place.

    Parameters
    ----------
    model : Module
        As it is called in training; give the compiled one where there is one.
    curvature : {"rs", "sre", "exact", "ekfac", "brand", "kld_wrm", "seng"}, default "rs"
        `RSKFAC`, `SREKFAC`, `KFAC`, `EKFAC`, `BrandKFAC`, `KLDWRM` or `SENG` of `randnla.curvature`.
    rank : int, default 220
        Eigenpairs kept of a factor, at most.
    damping : Damping, float or callable (step) -> either, default 0.1
    ema : float, default 0.95
    stats_every, inv_every : int or Every, default 10 and 30
        Of "kld_wrm" these defaults are its own.
    fisher : {"mc", "empirical", "ggn"}, default "mc"
        Gradients for labels sampled from the model's own output; of the loss, as its backward pass has them;
        or for all classes.
    likelihood : {"categorical", "bernoulli", "gaussian"} or callable, default "categorical"
        What the output is: logits with the classes on the last axis, logits, means with unit variance. A
        callable (output, generator) returns the loss, summed over the batch, for labels it has sampled.
    reduction : {"mean", "sum"}, default "mean"
        Of the loss that ``backward`` is called on; asked for by "empirical" only.
    output : callable, optional
        Picks the tensor of logits or means from what the model returns.
    skip : sequence of str
        Names of modules, with all inside them, that are left alone.
    sharing : {"expand", "reduce"}, default "expand"
        Of layers that a sample uses several times, as convolutions; see `Dense`.
    host_copy : bool, default False
        Copy tensors of other devices to the host and back. Without, they are refused.
    rng : None, int, SeedSequence or Generator
        Of sampled labels and cold starts. The generators of torch are left alone.
    **settings
        Of the engine: inverse, start, clip, asynchronous, ...

    Attributes
    ----------
    engine : randnla.curvature.KFAC

    Raises
    ------
    InputError
        An argument does not fit, or there is no layer to cover.

    Notes
    -----
    Hooks are there on statistics steps only; they keep references, and a compiled model runs uncompiled on
    these steps. Labels are sampled inside the forward pass, which takes one more backward pass through it
    (for "ggn" one a class). Where a gradient holds NaN or Inf, as after an overflow of a scaled loss, `step`
    leaves everything as it is; call ``scaler.unscale_(optimizer)`` before it.

    The first axis of inputs is that of the samples. Where the forward passes of one step have inputs of
    several lengths every sample counts with all of its positions; of a layer that a pass uses several times
    those passes count that have most samples. The model has to be called itself, and not by a function that
    is compiled around it.

    A Fisher matrix is of the loss summed over the positions of an output that has any, and averaged over the
    samples.

    Examples
    --------
    >>> import torch
    >>> import randnla.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    >>> pre = randnla.torch.KFAC(model, damping=0.1, rng=0)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> x, y = torch.ones(4, 8), torch.tensor([0, 1, 2, 0])
    >>> loss = torch.nn.functional.cross_entropy(model(x), y)
    >>> loss.backward()
    >>> pre.step()
    >>> optimizer.step()
    """

    def __init__(
        self,
        model: nn.Module,
        curvature: str = "rs",
        *,
        rank: int | None = 220,
        damping: Any = None,
        ema: float | None = None,
        stats_every: Any = None,
        inv_every: Any = None,
        fisher: str = "mc",
        likelihood: Likelihood = "categorical",
        reduction: str = "mean",
        output: Callable[[Any], torch.Tensor] | None = None,
        skip: Sequence[str] = (),
        sharing: str = "expand",
        host_copy: bool = False,
        rng: Any = None,
        **settings: Any,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        name = CURVATURES[validate.choice(curvature, tuple(CURVATURES), name="curvature")]
        self.fisher = validate.choice(fisher, FISHERS, name="fisher")
        if not callable(likelihood):
            validate.choice(likelihood, LIKELIHOODS, name="likelihood")
        elif fisher == "ggn":
            raise InputError("likelihood: expected the name of one, for fisher='ggn' differentiates it twice")
        self.reduction = validate.choice(reduction, ("mean", "sum"), name="reduction")
        self.host_copy = validate.flag(host_copy, name="host_copy")
        inner: nn.Module = getattr(model, "_orig_mod", model)
        self._covered, self._skipped = covered_by(inner, tuple(skip), sharing=sharing)
        if not self._covered:
            raise InputError("model: expected at least one layer with a curvature, see the documentation")
        seed = seed_from(rng)
        parameters = [slot.parameter for item in self._covered for slot in item.slots]
        for parameter in parameters:
            self._require_host(parameter)
        given = {"damping": damping, "ema": ema, "stats_every": stats_every, "inv_every": inv_every}
        wide = any(p.dtype == torch.float64 for p in parameters)
        self.engine = getattr(engines, name)(
            {item.name: item.layer for item in self._covered},
            rank=rank,
            dtype=np.float64 if wide else np.float32,
            rng=seed,
            **{key: value for key, value in given.items() if value is not None},
            **settings,
        )
        # The wake of exact divergences hands what it is given to the user's function.
        self._tensors = getattr(self.engine, "variant", "") == "QE"
        self._capture = Capture(
            model,
            self._covered,
            fisher=self.fisher,
            likelihood=likelihood,
            sampler=self._sampler,
            output=output,
        )
        self._listen()

    def _sampler(self, number: int, device: torch.device) -> torch.Generator:
        """Of the labels of a forward pass: a function of seed, step and pass, so that there is no state."""
        words = np.random.SeedSequence([self.engine.seed, self.engine.step_count, number])
        seed = int(words.generate_state(1, np.uint32)[0])  # all that the generator of the CPU looks at
        return torch.Generator(device).manual_seed(seed)

    def _listen(self) -> None:
        """Hooks if the step to come wants statistics."""
        if self.engine.statistics_due:
            self._capture.attach()
        elif self._capture.attached:
            self._capture.detach()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def step(self, *, lr: float = 1.0, loss_scale: float = 1.0) -> None:
        """Rewrite ``.grad`` of the covered parameters; to be called after ``backward``.

        Parameters
        ----------
        lr : float, default 1
            The step size to come, which `KLClip` and "kld_wrm" ask for.
        loss_scale : float, default 1
            What the mean (sum) over the samples of a forward pass was multiplied by before ``backward``:
            ``scaler.get_scale()``, one over the number of passes in a step. Of "empirical" only.

        Raises
        ------
        StateError
            There are no gradients; statistics are due, and no forward pass of the model was seen.
        InputError
            A tensor is on another device, without ``host_copy=True``.
        """
        with torch.no_grad():
            held = {item.name: (item, item.gradients()) for item in self._covered}
            held = {name: pair for name, pair in held.items() if all(g is not None for g in pair[1])}
            gradients = {name: item.structured(self._on_host(g)) for name, (item, g) in held.items()}
            if not gradients:
                raise StateError("step: no covered parameter has a gradient, call backward first")
            scale = validate.real(loss_scale, name="loss_scale")
            seen = self._statistics(scale) if self.engine.statistics_due else None
            before = self.engine.step_count
            directions = self.engine.step(gradients, lr=lr, statistics=seen, **self._parameters(gradients))
            if self.engine.step_count > before:  # else a gradient is not finite, and nothing has changed
                for name, (_, targets) in held.items():
                    _write(targets, gradients[name], directions[name])
        self._capture.forget()
        self._listen()

    def _parameters(self, gradients: dict[str, Any]) -> dict[str, Any]:
        """The network itself, for the engine that asks for it."""
        if not self._tensors:
            return {}
        return {
            "parameters": {
                item.name: item.structured(self._on_host(item.values()))
                for item in self._covered
                if item.name in gradients
            }
        }

    def _statistics(self, loss_scale: float) -> dict[str, Any]:
        """What was captured, on the host, as the engine takes it."""
        passes = self._capture.passes
        if not passes:
            raise StateError(
                "step: statistics are due, and no forward pass of the model in training was seen; was it "
                "called in eval mode, under no_grad, by a compiled function, or other than by itself?"
            )
        seen = {}
        for item in self._covered:
            arrays = arrays_of(item.name, passes, lambda samples: self._rescaling(samples, loss_scale))
            if arrays is not None:
                a, g, samples = arrays
                seen[item.name] = self._on_host(a), self._on_host(g), samples
        return seen

    def _rescaling(self, samples: int, loss_scale: float) -> float:
        """What makes a gradient of the user's loss one of its sum over the samples of a pass."""
        if self.fisher != "empirical":
            return 1.0
        return (samples if self.reduction == "mean" else 1) / loss_scale

    def _on_host(self, value: Any) -> Any:
        """Tensors as the engine takes them, on the memory they are in wherever that is the host's."""
        if isinstance(value, (tuple, list)):
            return type(value)(map(self._on_host, value))
        self._require_host(value)
        value = value.detach() if value.is_cpu else value.detach().cpu()
        # As an array right here where NumPy has the dtype: the engine would find out about every tensor.
        return value if self._tensors or value.dtype not in _OF_NUMPY else value.numpy()

    def _require_host(self, value: torch.Tensor) -> None:
        if not (value.is_cpu or self.host_copy):
            raise InputError(
                f"model: expected tensors on the CPU, got one on {value.device}; host_copy=True copies them "
                "to the host and back"
            )

    def report(self) -> Report:
        """A printable table of what is covered and how, and of what is skipped and why."""
        lines = tuple(Line(item.name, item.kind, item.shape, "-", item.why) for item in self._skipped)
        report: Report = replace(self.engine.report(), skipped=lines)
        return report

    @property
    def health(self) -> dict[str, Any]:
        """How the curvature of each layer is."""
        return dict(self.engine.health)

    def state_dict(self) -> dict[str, Any]:
        """The state of the engine, its layers by the names of the modules; labels need none.

        Scalars and tensors, as ``torch.save`` and ``torch.load`` take them.
        """
        state: dict[str, Any] = self.engine.state_dict()
        return {
            key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            for key, value in state.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of a model with the same modules, bit for bit.

        Raises
        ------
        StateError
            A part is missing or does not fit; nothing has changed then.
        """
        if isinstance(state, dict):
            with reading():
                state = {
                    key: value.numpy(force=True) if isinstance(value, torch.Tensor) else value
                    for key, value in state.items()
                }
        self.engine.load_state_dict(state)
        self._capture.forget()
        self._listen()

    def remove(self) -> None:
        """Take all hooks off the model."""
        self._capture.detach()

    def __repr__(self) -> str:
        return f"randnla.torch.KFAC({self.engine!r}, fisher={self.fisher!r})"


def _parts(made: Any) -> tuple[Any, ...]:
    return made if isinstance(made, tuple) else (made,)


def _write(targets: tuple[torch.Tensor, ...], given: Any, made: Any) -> None:
    """Put directions into ``.grad``, in place; through the array on its memory where there is one."""
    for target, array, part in zip(targets, _parts(given), _parts(made), strict=True):
        if target.is_cpu and isinstance(array, np.ndarray):
            np.copyto(array, part)
        else:
            target.copy_(torch.as_tensor(part))
