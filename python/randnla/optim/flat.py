# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What optimizers in NumPy have in common that see nothing but gradients: all numbers are one flat vector."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import dense
from randnla.curvature.resumable import joined, parted

from .protocols import Array
from .trees import leaves, rebuilt, require_alike, require_shapes, shapes_of


class FlatOptimizer:
    """Base of optimizers: ``v = momentum v + direction(g + weight_decay w)``, ``w = w - lr v``.

    A subclass has `_KIND`, `_engine`, `_direction` and `_restored`.
    """

    _KIND: ClassVar[str]

    def __init__(self, *, lr: float | Callable[[int], float], momentum: float, weight_decay: float) -> None:
        self.lr = lr if callable(lr) else validate.real(lr, name="lr", low=0.0)
        self.momentum = validate.real(momentum, name="momentum", low=0.0)
        if self.momentum >= 1:
            raise InputError(f"momentum: expected a number in [0, 1), got {momentum}")
        self.weight_decay = validate.real(weight_decay, name="weight_decay", low=0.0)
        self.engine: Any = None  # made by the first step
        self.step_count = 0
        self.skipped = 0  # steps with NaN or Inf in a gradient, which changed nothing
        self._velocity: Array | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}  # of the parameters, once there has been a step

    # -- what a subclass knows -----------------------------------------------------------------------------

    def _engine(self, dim: int, dtype: Any) -> Any:
        """A new engine for vectors of length dim; it has a `state_dict`."""
        raise NotImplementedError

    def _direction(self, engine: Any, g: Array) -> Array | None:
        """The direction (dim,) of a finite gradient; None: nothing changes."""
        raise NotImplementedError

    def _restored(self, state: dict[str, Any]) -> Any:
        """An engine from its state; StateError where that is not one."""
        raise NotImplementedError

    # -- steps ---------------------------------------------------------------------------------------------

    def step(self, w: Any, grad: Any) -> Any:
        """Parameters after one step.

        Parameters
        ----------
        w : array, or mapping of arrays or tuples of arrays
            Not changed.
        grad : as `w`
            Gradient of the mean loss, without the weight decay.

        Returns
        -------
        As `w`; the same numbers where a gradient holds NaN or Inf: that is no step.

        Raises
        ------
        InputError
            The structures differ, hold nothing, or have other shapes than in the steps before.
        """
        tree = w if isinstance(w, Mapping) else {"w": namespace.to_host(w, name="w")}
        here = leaves(tree)
        slopes = leaves(grad if isinstance(grad, Mapping) else {"w": grad}, "grad")
        if not here:
            raise InputError("w: expected at least one array, got none")
        require_alike(slopes, here, "grad")
        if self._shapes:
            require_shapes(here, self._shapes)
        for name, parts in (("w", here), ("grad", slopes)):
            if any(part.dtype.kind == "c" for part in parts.values()):
                raise InputError(f"{name}: expected real numbers, got complex ones")
        wide = any(part.dtype != np.float32 for part in here.values())
        dtype = np.dtype(np.float64 if wide else np.float32)
        g = np.concatenate([part.ravel() for part in slopes.values()]).astype(dtype, copy=False)
        x = np.concatenate([part.ravel() for part in here.values()]).astype(dtype, copy=False)
        if self.weight_decay:
            g = g + dtype.type(self.weight_decay) * x
        update = self._update(g)
        if self.engine is not None:
            self._shapes = shapes_of(here)
        if update is None:
            return w
        x = x - dtype.type(self._rate()) * update
        self.step_count += 1
        ends = np.cumsum([part.size for part in here.values()])[:-1]
        pieces = zip(here.items(), np.split(x, ends), strict=True)
        made = rebuilt(tree, {key: part.reshape(old.shape) for (key, old), part in pieces})
        return made if isinstance(w, Mapping) else namespace.restore(namespace.kind_of(w), made["w"])

    def _rate(self) -> float:
        return validate.real(self.lr(self.step_count), name="lr", low=0.0) if callable(self.lr) else self.lr

    def _update(self, g: Array) -> Array | None:
        if not dense.screen(g[None]).finite:
            self.skipped += 1
            return None
        if self.engine is None:
            self.engine = self._engine(len(g), g.dtype)
        direction = self._direction(self.engine, g)
        if direction is None:
            self.skipped += 1
            return None
        old = np.zeros_like(g) if self._velocity is None else self._velocity
        self._velocity = g.dtype.type(self.momentum) * old + direction
        return self._velocity

    # -- state ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        fields: dict[str, Any] = {"kind": self._KIND, "step_count": self.step_count, "skipped": self.skipped}
        fields["shapes"] = json.dumps(self._shapes)
        if self.engine is not None:
            velocity = np.zeros(0) if self._velocity is None else self._velocity.copy()
            fields |= joined({"engine": self.engine.state_dict(), "flat": {"velocity": velocity}})
        return plain_state.seal(fields)

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state of an optimizer with the same settings.

        Raises
        ------
        StateError
            A field is missing, altered, or of another optimizer; nothing has changed.
        """
        types = {"step_count": int, "skipped": int, "shapes": str}
        fields = plain_state.opened(state, self._KIND, types, parts=True)
        parts = parted({key: value for key, value in state.items() if "/" in str(key)})
        engine = velocity = None
        if parts:
            if parts.keys() != {"engine", "flat"} or parts["flat"].keys() != {"velocity"}:
                raise StateError(f"state: expected the parts engine and flat, got {sorted(parts)}")
            given = np.array(parts["flat"]["velocity"])
            if given.ndim != 1 or given.dtype.kind != "f" or not np.isfinite(given).all():
                raise StateError("velocity: expected a vector of finite numbers")
            engine, velocity = self._restored(parts["engine"]), given if given.size else None
        with plain_state.reading("shapes"):
            self._shapes = {key: tuple(shape) for key, shape in json.loads(fields["shapes"]).items()}
        self.engine, self._velocity = engine, velocity
        self.step_count, self.skipped = fields["step_count"], fields["skipped"]
