# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices as an optimizer of plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from randnla import curvature as engines
from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import StateError
from randnla.curvature.mini_blocks.partition import Partition, default_partition
from randnla.curvature.resumable import joined, parted

from .protocols import Array, Parameters
from .trees import leaves, rebuilt, require_alike, require_shapes, shapes_of


class MiniBlockFisher:
    """Natural gradients by small blocks of the averaged outer products of gradients.

    Parameters
    ----------
    w : mapping {layer: (weight, bias) or weight}
        The parameters, for their shapes: outputs on the first axis.
    lr : float or callable (step) -> float, default 3e-3
        Of weights with blocks.
    other_lr : float or callable (step) -> float, default 1e-3
        Of the others, which follow Adam's rule.
    weight_decay : float, default 0
        Parameters shrink by their rate times this a step.
    shared : bool, default True
    largest : int, default 2048
        As of `randnla.torch.MiniBlockFisher`.
    partition : mapping {layer: partition}, optional
        Of the weights of layers that are not to follow the rules by shape; their biases follow Adam's.
    clip : RMSClip, KLClip or None, default RMSClip(1.0)
        As of `randnla.torch.MiniBlockFisher`.
    **settings
        Of the engine: damping, ema, start, momentum, stats_every, inv_every, dtype.

    Attributes
    ----------
    engine : randnla.curvature.MiniBlockFisher
    skipped : int
        Steps with NaN or Inf in a gradient, which changed nothing.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm* and *Cost*: as of the engine.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.optim import MiniBlockFisher
    >>> w = {"out": (np.ones((2, 3)), np.zeros(2))}
    >>> optimizer = MiniBlockFisher(w, lr=0.5, damping=1.0)
    >>> for step in range(20):
    ...     w = optimizer.step(w, w)  # the gradient of half the squared length
    >>> bool(np.abs(w["out"][0]).max() < 1)
    True
    """

    _KIND = "optim.MiniBlockFisher"

    def __init__(
        self,
        w: Parameters,
        *,
        lr: float | Callable[[int], float] = 3e-3,
        other_lr: float | Callable[[int], float] = 1e-3,
        weight_decay: float = 0.0,
        shared: bool = True,
        largest: int = 2048,
        partition: Mapping[str, Partition] | None = None,
        clip: Any = engines.RMSClip(1.0),  # noqa: B008 (frozen)
        **settings: Any,
    ) -> None:
        self.lr, self.other_lr = _schedule(lr, "lr"), _schedule(other_lr, "other_lr")
        self.weight_decay = validate.real(weight_decay, name="weight_decay", low=0.0)
        validate.flag(shared, name="shared")
        validate.integer(largest, name="largest", low=1)
        here = leaves(w)
        own = {f"{layer}.0": part for layer, part in (partition or {}).items()}
        self._shapes = shapes_of(here)
        rest = {name: shape for name, shape in self._shapes.items() if name not in own}
        biases = {name: f"{name[:-2]}.1" for name in rest if name.endswith(".0")}
        found = default_partition(rest, biases, largest=largest, shared=shared)
        made = {(name,): part for name, part in own.items()} | found
        self._units = {
            names[0]: names for names in sorted(made, key=lambda names: list(here).index(names[0]))
        }
        self.engine = engines.MiniBlockFisher(
            {name: made[names] for name, names in self._units.items()}, clip=clip, **settings
        )
        self.skipped = 0

    @property
    def step_count(self) -> int:
        """Steps so far."""
        return self.engine.step_count

    @property
    def health(self) -> dict[str, engines.Health]:
        """How the blocks of every weight are."""
        return self.engine.health

    def step(self, w: Parameters, grad: Parameters) -> dict[str, Any]:
        """Parameters after one step.

        Parameters
        ----------
        w : mapping {layer: (weight, bias) or weight}
            Not changed.
        grad : mapping
            Gradient of the mean loss, in the structure of `w`.

        Returns
        -------
        dict
            In the structure of `w`; the same numbers where a gradient holds NaN or Inf: that is no step.

        Raises
        ------
        InputError
            The structures differ, or are not those that the optimizer was made for.
        """
        here, slopes = leaves(w), leaves(grad)
        require_alike(slopes, here, "grad")
        require_shapes(here, self._shapes)
        rates = {key: _rate(value, self.step_count, key) for key, value in self._rates.items()}
        given = {name: _unit(slopes, names) for name, names in self._units.items()}
        count = self.step_count
        directions = self.engine.step(given, lr=rates["lr"])
        if self.step_count == count:
            self.skipped += 1
            return dict(w)
        moved = {}
        for name, names in self._units.items():
            rate = rates["other_lr" if self.engine.is_elementwise(name) else "lr"]
            made = directions[name]
            for key, direction in zip(names, made if isinstance(made, tuple) else (made,), strict=True):
                moved[key] = (1.0 - rate * self.weight_decay) * here[key] - rate * direction
        return rebuilt(w, moved)

    @property
    def _rates(self) -> dict[str, Any]:
        return {"lr": self.lr, "other_lr": self.other_lr}

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        parts = joined({"engine": self.engine.state_dict()})
        return plain_state.seal({"kind": self._KIND, "skipped": self.skipped, **parts})

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state of an optimizer of the same parameters and settings.

        Raises
        ------
        StateError
            A field is missing, altered, or of another optimizer; nothing has changed.
        """
        fields = plain_state.opened(state, self._KIND, {"skipped": int}, parts=True)
        parts = parted({key: value for key, value in state.items() if "/" in str(key)})
        if parts.keys() != {"engine"}:
            raise StateError(f"state: expected the part engine, got {sorted(parts)}")
        self.engine.load_state_dict(parts["engine"])
        self.skipped = fields["skipped"]

    def __repr__(self) -> str:
        return f"MiniBlockFisher(lr={self.lr!r}): {self.engine!r}"


def _unit(slopes: dict[str, Array], names: tuple[str, ...]) -> Any:
    return slopes[names[0]] if len(names) == 1 else tuple(slopes[name] for name in names)


def _schedule(value: Any, name: str) -> Any:
    return value if callable(value) else validate.real(value, name=name, low=0.0)


def _rate(value: Any, step: int, name: str) -> float:
    return validate.real(value(step) if callable(value) else value, name=name, low=0.0)
