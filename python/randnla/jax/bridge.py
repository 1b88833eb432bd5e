# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Refreshes on the host: arrays of a state into factors, what the engine makes of them into arrays."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array
from randnla.curvature import BrandFactor, DiagonalFactor, EigenInverse, LowRankInverse
from randnla.curvature.damping import Damping
from randnla.curvature.factors.average import Average
from randnla.curvature.inverses.two_sided import TwoSidedInverse
from randnla.curvature.kfac.blocks import Block, KroneckerBlock
from randnla.curvature.kfac.eigenbasis import EigenbasisBlock
from randnla.curvature.kfac.kld_wrm import AugmentedBlock
from randnla.curvature.kfac.unitwise import UnitwiseBlock

from .state import FALLBACKS, SIDES, Opened, aligned


class SumView:
    """An averaged factor that reads its sum where JAX holds it."""

    def __init__(self, total: Array, average: Average) -> None:
        self.total, self.dim, self.dtype = total, total.shape[0], total.dtype
        self.scale, self.ridge = average.scale, average.ridge

    @property
    def trace(self) -> float:
        """Of the average."""
        trace = float(np.trace(self.total, dtype=np.float64))
        return float(self.scale * trace + self.ridge * self.dim)

    @property
    def value(self) -> Array:
        """The average, a new array, at an address that JAX takes over."""
        out = aligned(self.total.shape, self.dtype)
        np.multiply(self.total, self.dtype.type(self.scale), out=out)
        out[np.diag_indices(self.dim)] += self.dtype.type(self.ridge)
        return out

    def sum_times(self, X: Array) -> Array:
        """The sum times a block of columns."""
        return dense.gemm(self.total, X)


def brand_of(proto: BrandFactor, pairs: dict[str, Any], count: int) -> BrandFactor:
    """The factor that a state describes."""
    held = int(pairs["pairs"])
    values = np.maximum(pairs["values"][:held].astype(np.float64), 0.0)
    fields = {
        "kind": "BrandFactor",
        "dim": proto.dim,
        "rank": proto.rank,
        "ema": proto.ema,
        "start": proto.start,
        "dtype": proto.dtype.name,
        "count": count,
        "U": np.ascontiguousarray(pairs["U"][:, :held]),
        "values": values,
        "mass": float(pairs["mass"]),
        "cut": float(pairs["cut"]),
    }
    return BrandFactor.from_state_dict(plain_state.seal(fields))


def brand_absorbed(
    proto: BrandFactor, pairs: dict[str, Any], count: int, rows: Array, uses: float
) -> dict[str, Any]:
    """The pairs with a batch more."""
    factor = brand_of(proto, pairs, count)
    factor.absorb(factor.prepare(rows), uses)
    fields, kind = factor.state_dict(), pairs["mass"].dtype.type
    return {
        "U": padded(fields["U"], proto.rank),
        "values": padded(fields["values"][None], proto.rank)[0].astype(pairs["values"].dtype),
        "mass": kind(fields["mass"]),
        "cut": kind(fields["cut"]),
        "pairs": np.int32(factor.s.size),
    }


def padded(X: Array, width: int, value: float = 0.0) -> Array:
    """Columns added up to a width, in memory that JAX takes over."""
    out = aligned((X.shape[0], width), X.dtype)
    out[:, : X.shape[1]] = X
    out[:, X.shape[1] :] = value
    return out


def renewed(
    block: Block, layer: Opened, damping: Damping, step: int, *, rate: float = 0.0
) -> tuple[Opened, str]:
    """The state of a layer after a refresh from its statistics, and why it is not what was asked for.

    Parameters
    ----------
    block : Block
        A fresh one of the engine, which is not changed.
    layer : Opened
        Of NumPy arrays, which are read only.
    rate : float, default 0
        The step size to come, by which augmented factors are augmented.
    """
    record = {key: value.item() for key, value in layer.record.items()}
    if record["count"] == 0:
        return layer, "there has been no batch"
    try:
        made, fallback, reason = _attempt(block, layer, record, damping, rate)
    except Exception as problem:  # as in `randnla.curvature`: training goes on
        made, fallback, reason = None, "", f"{type(problem).__name__}: {problem}"
    if made is None:
        kept = "identity" if record["refreshes"] == 0 else "last good inverse"
        record |= {"failed": record["failed"] + 1, "fallback": FALLBACKS.index(kept)}
        return layer._replace(record=_typed(record, layer.record)), reason
    record |= {"refreshes": record["refreshes"] + 1, "last_refresh": step}
    record |= {"fallback": FALLBACKS.index(fallback)}
    record |= {"condition": made.condition or 0.0, "truncated": made.truncated}
    inverse, statistics = _arrays(made, layer)
    typed = _typed(record, layer.record)
    return Opened(statistics, inverse, typed), reason


def _attempt(
    block: Block, layer: Opened, record: dict[str, Any], damping: Damping, rate: float
) -> tuple[Any, str, str]:
    """A block that has been refreshed, or None; what that came to; the reason."""
    count, ready = record["count"], record["refreshes"] > 0
    made: Any
    if isinstance(block, UnitwiseBlock):
        made = block.restored({"sum": layer.statistics["sum"].astype(np.float64), "count": count})
    elif isinstance(block, EigenbasisBlock):
        made = EigenbasisBlock(_kronecker(block.base, layer, record))
        if ready:
            made.moments = layer.statistics["second"]
    else:
        assert isinstance(block, KroneckerBlock)
        made = _kronecker(block, layer, record)
        if isinstance(block, AugmentedBlock):
            made = _augmented(made, layer, rate)
    outcome = made.renewal(damping, detached=False)()
    if outcome.made is None:
        return None, "", outcome.reason
    made.adopt(outcome.made)
    return made, outcome.fallback, outcome.reason


def _kronecker(proto: KroneckerBlock, layer: Opened, record: dict[str, Any]) -> KroneckerBlock:
    factors: list[Any] = []
    sides: list[Any] = []
    for name in SIDES:
        factor, side = getattr(proto, name), copy.copy(getattr(proto.inverse, name))
        factors.append(_factor(factor, layer.statistics[name], record["count"]))
        if record["refreshes"] > 0:
            _resume(side, layer.inverse[name], record["refreshes"])
        sides.append(side)
    left, right = factors
    return KroneckerBlock(
        left, right, proto.sources, TwoSidedInverse(*sides, negligible=proto.inverse.negligible)
    )


def _augmented(block: KroneckerBlock, layer: Opened, rate: float) -> AugmentedBlock:
    made = AugmentedBlock(block.left, block.right, block.sources, block.inverse)
    last = Average(0.0, "first")
    for name in ("left_now", "right_now"):
        setattr(made, name, SumView(layer.statistics[name], last))
    made.lr = rate
    return made


def _factor(proto: Any, held: Any, count: int) -> Any:
    if isinstance(proto, BrandFactor):
        return brand_of(proto, held, count)
    if isinstance(proto, DiagonalFactor):
        fields = {key: value for key, value in proto.state_dict().items() if key != "digest"}
        fields |= {"sum": held.astype(np.float64), "count": count}
        return DiagonalFactor.from_state_dict(plain_state.seal(fields))
    return SumView(held, Average(proto.ema, proto.start, count))


def _resume(side: Any, held: dict[str, Any], refreshes: int) -> None:
    """Let a side begin where the last refresh has left it."""
    if isinstance(side, LowRankInverse):
        kept = min(side.rank, held["leading"].size)
        s = held["leading"][:kept].astype(np.float64)
        side.begin_from(held["U"], s, left=float(held["left"]), refreshes=refreshes)
    elif isinstance(side, EigenInverse):
        side.U, side.s = held["U"], np.zeros(held["U"].shape[0])


def _arrays(block: Any, layer: Opened) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inverse and the statistics of a refreshed block as the arrays of a state."""
    before = layer.inverse
    if isinstance(block, UnitwiseBlock):
        fields = block.state_dict()
        arrays = _typed({key: fields[key] for key in ("values", "vectors")}, before)
        return {**before, **arrays, "shifts": _whole(fields["shift"], before)}, layer.statistics
    base = block.base if isinstance(block, EigenbasisBlock) else block
    inverse: Any = base.inverse
    sides = {name: _side(getattr(inverse, name), before[name]) for name in SIDES}
    if isinstance(block, EigenbasisBlock):
        statistics = {**layer.statistics, "second": np.ascontiguousarray(block.moments)}
        return {**before, **sides, "shifts": _whole(block.shift, before)}, statistics
    shifts = [inverse.shifts.left, inverse.shifts.right, inverse.shifts.whole]
    moments = [[m.mean, m.largest] for m in inverse.moments]
    return {**sides, **_typed({"shifts": shifts, "moments": moments}, before)}, layer.statistics


def _whole(shift: float, before: dict[str, Any]) -> Array:
    """Shifts of a block that knows one only."""
    return np.array([0.0, 0.0, shift], before["shifts"].dtype)


def _side(side: Any, before: dict[str, Any]) -> dict[str, Any]:
    if "matrix" in before:
        return {"matrix": np.ascontiguousarray(side.matrix)}
    if "tail" in before:
        width = before["U"].shape[1]
        numbers = {
            "leading": padded(side.s[None], width, side.tail)[0],
            "tail": side.tail,
            "left": side.left,
        }
        return {"U": padded(side.basis, width), **_typed(numbers, before)}
    if "U" not in before:
        return _typed({"s": side.s}, before)
    made = {"U": np.ascontiguousarray(side.U)}
    return made | (_typed({"s": side.s}, before) if "s" in before else {})


def _typed(values: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """Numbers as arrays of the dtypes of others."""
    return {key: np.asarray(value, like[key].dtype) for key, value in values.items()}
