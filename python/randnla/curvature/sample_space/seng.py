# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Natural gradients from the samples of a batch: Woodbury's identity in the space of the samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import StateError

from ..damping import Absolute, Damping
from ..kfac.engine import KFAC
from ..kfac.layers import Layer
from ..schedule import Every
from .sample_block import SampleBlock, SampleSettings, require_addable


class SENG(KFAC):
    """Sketchy empirical natural gradients: ``F = lambda I + U^T U``, U the gradients of the samples.

    Parameters
    ----------
    layers : mapping {name: layer}
        As of `KFAC`. Embeddings and normalizations are treated as there.
    damping : Absolute, Relative, float or callable (step) -> either, default Absolute(1.0)
        lambda; `Relative` is times the largest eigenvalue of ``U U^T``, and so is a number.
    rank : int or None, default 16
        Terms kept of the gradient of a sample of a layer that is used at several positions, as convolutions:
        its matrix of output gradients is projected on as many singular vectors. None keeps all.
    sketch : int or None, default None
        Coordinates of either side that ``U U^T`` and ``U V`` are computed from. None takes all; else
        directions are not symmetric in V, and `quadform`, of V and its direction, may be negative.
    window : int, default 1
        Batches whose samples make up U, with weights that fall by `ema` from one to the one before.
    ema : float in [0, 1), default 0.95
    stats_every, inv_every : int or Every, default 10
    **settings
        Of `KFAC`: clip, asynchronous, lag, dtype, rng.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Yang, Xu, Wen, Chen and Xu, *Sketch-based empirical natural gradient methods for deep
    learning* (2022). The rows of U are gradients of samples over the root of their number, and the direction
    is ``(V - U^T (lambda I + U U^T)^-1 U V) / lambda``. Of a dense layer ``U U^T = (A A^T) o (G G^T)``, so
    that U is not formed. Where ours differs: coordinates are scaled by sqrt(dim / size), so that sketched
    Gram matrices and products are unbiased, and ``U^T c`` is the adjoint of U, of all coordinates. Gram
    matrices are float64, held in eigenvectors: another damping needs nothing computed afresh.

    *Cost*: of a dense layer (m, n) and N samples 2 N^2 (m + n) flops and an eigendecomposition a refresh,
    4 N m n a step, N (m + n) numbers. Convolutions take as many terms a sample as `rank` says, or where all
    are kept and that is less, N m n numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import Absolute, Dense, SENG
    >>> engine = SENG({"first": Dense(3, 2)}, damping=Absolute(0.5))
    >>> a, g = np.eye(3, dtype=np.float32), np.ones((3, 2), np.float32)
    >>> engine.accumulate("first", a, g)
    True
    >>> weight, bias = engine.step({"first": (g.T @ a / 3, g.mean(axis=0))})["first"]
    >>> weight.shape, bias.shape
    ((2, 3), (2,))
    """

    _KIND: ClassVar[str] = "SENG"

    def __init__(
        self,
        layers: Mapping[str, Layer],
        *,
        damping: Any = Absolute(1.0),  # noqa: B008 (frozen)
        rank: int | None = 16,
        sketch: int | None = None,
        window: int = 1,
        ema: float = 0.95,
        stats_every: int | Every = 10,
        inv_every: int | Every = 10,
        **settings: Any,
    ) -> None:
        self._rank = None if rank is None else validate.integer(rank, name="rank", low=1)
        self._sketch = None if sketch is None else validate.integer(sketch, name="sketch", low=1)
        self._window = validate.integer(window, name="window", low=1)
        super().__init__(
            layers, damping=damping, ema=ema, stats_every=stats_every, inv_every=inv_every, **settings
        )
        require_addable(self.damping)

    def _kronecker_block(self, layer: Layer, index: int) -> Any:
        if layer.sides != ("g", "a"):
            return super()._kronecker_block(layer, index)
        seed = (self.seed + 2 * index) % 2**63
        return SampleBlock(
            layer.shape,
            SampleSettings(self._rank, self._sketch, self._window, self._average.ema, seed),
            self.dtype,
        )

    def _require_possible(self, wanted: Damping) -> None:
        require_addable(wanted)

    def _own_state(self) -> dict[str, Any]:
        return {"window": self._window, "rank": self._rank or 0, "sketch": self._sketch or 0}

    def _refuse_others(self, fields: dict[str, Any]) -> None:
        for key, value in self._own_state().items():
            if plain_state.unwrap(fields[key]) != value:
                raise StateError(f"{key}: expected {value}, got {fields[key]}")
