# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kronecker-factored curvature whose wide factors are held as eigenpairs, never as squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr, symmetric

from ..factors.batch import Batch
from ..factors.brand import BrandFactor
from ..factors.kronecker import KroneckerFactor
from ..inverses.low_rank_inverse import LowRankInverse
from ..inverses.policy import kind_of_inverse
from ..resumable import joined, parted
from .blocks import KroneckerBlock
from .engine import KFAC
from .layers import Dense, Layer


class CorrectedBrandFactor(BrandFactor):
    """A `BrandFactor` beside the dense average, from which its truncation is put right at times.

    Parameters
    ----------
    dim, rank, ema, start, dtype
        Of `BrandFactor`.

    Notes
    -----
    *Algorithm*: Puiu, *Brand New K-FACs* (2022): overwriting (B-R-KFAC) and correction of a part of the basis
    (B-R-C-KFAC).

    *Cost*: of both factors.
    """

    def __init__(
        self, dim: int, rank: int, *, ema: float = 0.95, start: str = "debias", dtype: Any = np.float32
    ) -> None:
        super().__init__(dim, rank, ema=ema, start=start, dtype=dtype)
        self.dense = KroneckerFactor(dim, ema=ema, start=start, dtype=dtype)

    def absorb(self, batch: Batch, scale: float = 1.0) -> None:
        """Average in what `prepare` checked, times `scale`."""
        super().absorb(batch, scale)
        self.dense.absorb(batch, scale)

    def overwrite(self, *, oversample: int, power_iters: int, rng: Any) -> None:
        """Take the pairs of the dense average, by a cold randomized decomposition."""
        if self.count == 0:
            return
        pairs = LowRankInverse(self.rank, oversample=oversample, power_iters=power_iters, rng=rng)
        pairs.refresh(self.dense)
        self._take(pairs.U, (pairs.s - self.ridge) / self.scale)

    def correct(self, fraction: float, rng: np.random.Generator) -> None:
        """Put the dense average in place of the pairs on a random part of the basis."""
        size = self.U.shape[1]
        chosen = rng.permutation(size)[: max(1, round(fraction * size))] if size else np.zeros(0, int)
        if chosen.size == 0:
            return
        part = np.ascontiguousarray(self.U[:, chosen])
        products = self.dense.sum_times(part)
        w, V = qr.small_eigh(symmetric.crossed_gram(part, products))
        unit = self.dense.scale / self.scale
        U, values = self.U.copy(), self._values.copy()
        U[:, chosen] = dense.gemm(part, np.ascontiguousarray(V).astype(U.dtype))
        values[chosen] = unit * np.maximum(w.astype(np.float64), 0.0)
        order = np.argsort(-values, kind="stable")
        self._take(U[:, order], values[order])

    def _take(self, U: Any, values: Any) -> None:
        self.U, self._values = np.ascontiguousarray(U), np.maximum(values, 0.0)
        self._cut = max(self._mass - float(self._values.sum()), 0.0)

    def copy(self) -> Self:
        """A factor of its own with the same pairs and dense average."""
        made = super().copy()
        made.dense = self.dense.copy()
        return made

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        return joined({"pairs": super().state_dict(), "dense": self.dense.state_dict()})

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """One in the state described, as `load_state_dict`."""
        with plain_state.reading():
            parts = parted(dict(state or {}))
        made = cls(1, 1)
        vars(made).update(vars(BrandFactor.from_state_dict(parts.get("pairs"))))
        made.dense = KroneckerFactor.from_state_dict(parts.get("dense"))
        return made


class BrandKFAC(KFAC):
    """`KFAC` whose wide factors of dense layers are updated as eigenpairs: linear in their dimension.

    Parameters
    ----------
    layers : mapping {name: layer}
    rank : int, default 220
        Eigenpairs kept. Narrow factors, and those of convolutions, whose batches have more rows than the
        factor, are averaged as squares as in `RSKFAC`.
    overwrite_every : int, optional
        Refreshes from one to the next at which the pairs are computed afresh from a dense average, which is
        then kept beside them (B-R-KFAC).
    correct : float in [0, 1], default 0
        Share of the basis corrected from the dense average at the refreshes between (B-R-C-KFAC).
    **settings
        Of `KFAC`.

    Notes
    -----
    *Algorithm*: Puiu, *Brand New K-FACs: speeding up K-FAC with online decomposition updates* (2022).

    *Cost*: O(d (r + n)^2) a batch of n rows; no refresh but where one is overwritten.

    Examples
    --------
    >>> from randnla.curvature import BrandKFAC, Dense
    >>> print(BrandKFAC({"wide": Dense(2047, 10)}, rank=100).report().covered[0].inverse)
    cholesky x low_rank
    """

    _KIND: ClassVar[str] = "BrandKFAC"

    def __init__(
        self,
        layers: Mapping[str, Layer],
        *,
        overwrite_every: int | None = None,
        correct: float = 0.0,
        **settings: Any,
    ) -> None:
        every = overwrite_every
        self.overwrite_every = (
            None if every is None else validate.integer(every, name="overwrite_every", low=1)
        )
        self.correct = validate.real(correct, name="correct", low=0.0, high=1.0)
        if self.correct and self.overwrite_every is None:
            raise InputError("correct: needs overwrite_every, for the dense average it is corrected from")
        self._refreshes = 0
        super().__init__(layers, **{"inverse": "low_rank", **settings})

    def _kronecker_block(self, layer: Layer, index: int) -> KroneckerBlock:
        block: KroneckerBlock = super()._kronecker_block(layer, index)
        columns = self._low_rank["rank"] + self._low_rank["oversample"]
        if not isinstance(layer, Dense):
            return block
        kind = BrandFactor if self.overwrite_every is None else CorrectedBrandFactor
        for name, dim in zip(("left", "right"), layer.shape, strict=True):
            if kind_of_inverse(dim, columns, choice=self.inverse, joint=self._damping.joint) == "low_rank":
                average = self._average
                made = kind(
                    dim, self._low_rank["rank"], ema=average.ema, start=average.start, dtype=self.dtype
                )
                setattr(block, name, made)
        return block

    def refresh(self) -> None:
        """Renew all inverses from the pairs as they are; never raises, see `health`."""
        if self.overwrite_every is not None:
            for index, (name, block) in enumerate(self._blocks.items()):
                for side in ("left", "right"):
                    factor = getattr(block, side, None)
                    if isinstance(factor, CorrectedBrandFactor):
                        self._put_right(name, factor, 2 * index + (side == "right"))
        self._refreshes += 1
        super().refresh()

    def _put_right(self, name: str, factor: CorrectedBrandFactor, number: int) -> None:
        seed = (self.seed + number) % 2**63
        try:
            if self._refreshes % (self.overwrite_every or 1) == 0:
                settings = {key: self._low_rank[key] for key in ("oversample", "power_iters")}
                factor.overwrite(**settings, rng=seed)
            elif self.correct:
                factor.correct(self.correct, np.random.default_rng([seed, self._refreshes]))
        except Exception as problem:  # as in `attempt`: training goes on
            self._note(name, reason=f"{type(problem).__name__}: {problem}")

    def _own_state(self) -> dict[str, Any]:
        return {"refreshes": self._refreshes}

    def _load_own(self, fields: dict[str, Any]) -> None:
        self._refreshes = int(plain_state.unwrap(fields["refreshes"]))
