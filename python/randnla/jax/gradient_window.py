# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC as a gradient transformation of optax."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from randnla import curvature
from randnla._backend import validate

from .flat import flat_transformation, on_host
from .state import aligned
from .steps import shapes_of


class MFACRule:
    """Directions of a window whose arrays are those of a state."""

    def __init__(self, window: int, damping: float, *, callback: bool, **settings: Any) -> None:
        self.window, self.damping, self.callback, self.settings = window, damping, callback, settings

    def _engine(self, dim: int, dtype: Any) -> curvature.MFAC:
        return curvature.MFAC(dim, self.window, self.damping, dtype=dtype, **self.settings)

    def init(self, dim: int, dtype: Any) -> dict[str, Any]:
        """An empty window."""
        held = _bits(self._engine(1, dtype).arrays())
        rows, gram, block = held["rows"], held["gram"], self.settings["block"]
        blocks = 1 if block is None else -(-dim // block)
        return {
            **{name: jnp.asarray(held[name]) for name in ("scales", "order")},
            "rows": jnp.zeros((len(rows), dim), rows.dtype),
            "gram": jnp.zeros((blocks, *gram.shape[1:]), gram.dtype),
        }

    def direction(self, engine: Any, g: Any, **extra: Any) -> tuple[Any, Any]:
        """The direction of a gradient, and the window with it."""
        dtype = np.dtype(g.dtype)

        def run(held: Any, g: Any) -> Any:
            rows = aligned(held["rows"].shape, held["rows"].dtype)
            np.copyto(rows, held["rows"])
            window = self._engine(1, dtype).with_arrays(_floats({**held, "rows": rows}))
            found = window.direction(np.asarray(g))
            if found is None:
                return np.zeros_like(g), held
            return found, _bits(window.arrays())

        return on_host(run, shapes_of((g, engine)), engine, g, callback=self.callback)  # type: ignore[no-any-return]


def _bits(arrays: dict[str, Any]) -> dict[str, Any]:
    """float64 as pairs of words: JAX may be without."""
    return {key: a.view(np.uint32) if a.dtype == np.float64 else a for key, a in arrays.items()}


def _floats(arrays: dict[str, Any]) -> dict[str, Any]:
    wide = ("gram", "scales")
    return {key: np.array(a).view(np.float64) if key in wide else np.asarray(a) for key, a in arrays.items()}


def mfac(
    learning_rate: Any = 1e-3,
    *,
    window: int = 512,
    damping: float = 1e-5,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    block: int | None = None,
    storage: str | None = None,
    refresh: str = "host",
) -> optax.GradientTransformationExtraArgs:
    """Steps along ``(damping I + (1/m) sum g g^T)^-1 g`` of the last m gradients, with momentum.

    Parameters
    ----------
    learning_rate : float or callable (step) -> float, default 1e-3
    window : int, default 512
        Gradients held.
    damping : float, default 1e-5
    momentum : float in [0, 1), default 0.9
        Of the velocity ``v = momentum v + direction``; updates are ``-learning_rate v``.
    weight_decay : float, default 0
        Times the parameters, added to the gradient before it enters the window.
    block : int, optional
        The curvature is taken to be block diagonal, with blocks of this order.
    storage : {"float16", "bfloat16"}, optional
        What gradients are held in; of parameters up to float32.
    refresh : {"host", "callback"}, default "host"
        host: ``update`` is called outside of compiled functions. callback: it may be inside of one, by
        ``jax.pure_callback``.

    Returns
    -------
    optax.GradientTransformationExtraArgs

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: as of `randnla.torch.MFAC`, step for step, by the same engine.

    *Cost*: as there, and a copy of the window at every step, because states of optax are values: the one
    before stays as it is. With callbacks the window is copied once more each way.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from randnla.jax import mfac
    >>> params, scales = {"w": jnp.ones(20)}, jnp.logspace(0, -2, 20)
    >>> opt = mfac(0.02, window=8, damping=1e-3, momentum=0.5)
    >>> state = opt.init(params)
    >>> for _ in range(300):
    ...     updates, state = opt.update({"w": scales * params["w"]}, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> bool(scales @ params["w"] ** 2 < 0.1 * scales.sum())
    True
    """
    callback = validate.choice(refresh, ("host", "callback"), name="refresh") == "callback"
    rule = MFACRule(window, damping, callback=callback, block=block, storage=storage)
    rule._engine(1, np.float32)  # raises where a setting does not fit
    return flat_transformation(
        rule, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay
    )
