# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The curvature of one layer as a Kronecker product of two averaged factors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

from randnla._backend.errors import StateError
from randnla._backend.kernels.dense import Array

from ..damping import Damping
from ..health import Outcome, attempt
from ..inverses.two_sided import TwoSidedInverse
from ..resumable import joined, parted
from ..rows import Rows


class Block(Protocol):
    """What an engine asks of the curvature of a layer."""

    @property
    def kind(self) -> str:
        """How it is inverted."""

    @property
    def count(self) -> int:
        """Batches so far."""

    def prepare(self, rows: Rows) -> Any:
        """Check the rows of a batch; nothing changes."""

    def absorb(self, prepared: Any) -> None:
        """Average in what was checked."""

    def renewal(self, damping: Damping, *, detached: bool) -> Callable[[], Outcome[Any]]:
        """A refresh to be run now or, detached from later batches, on another thread."""

    def adopt(self, made: Any) -> None:
        """Take what a refresh has made."""

    def set_damping(self, damping: Damping) -> None:
        """Damp anew what needs nothing computed for it; raises BreakdownError, changing nothing."""

    @property
    def held_as_array(self) -> bool:
        """Whether an inverse is an array, which another damping does not reach before the next refresh."""

    def precondition(self, V: Array) -> Array:
        """The damped inverse applied to a gradient."""

    def quadform(self, V: Array) -> float:
        """``<V, inverse applied to V>``."""

    def logdet(self) -> float:
        """Of the damped curvature."""

    @property
    def condition(self) -> float | None:
        """Of the damped curvature."""

    @property
    def truncated(self) -> float:
        """Share of a trace that is not in the pairs kept."""

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""

    def restored(self, state: dict[str, Any]) -> Any:
        """One like this in the state described; raises StateError."""

    def made_state(self, made: Any) -> dict[str, Any]:
        """Of what a refresh has made and `adopt` has not taken yet: plain scalars and arrays."""

    def made_restored(self, state: dict[str, Any]) -> Any:
        """What a refresh had made, for `adopt`; raises StateError."""


class KroneckerBlock:
    """``L kron R`` of two averaged factors, and its damped inverse.

    Parameters
    ----------
    left, right : KroneckerFactor, BrandFactor or DiagonalFactor
    sources : (str, str)
        Which of the rows of a batch each averages: "a", "g" or "index".
    inverse : TwoSidedInverse
    """

    def __init__(self, left: Any, right: Any, sources: tuple[str, str], inverse: TwoSidedInverse) -> None:
        self.left, self.right, self.sources, self.inverse = left, right, sources, inverse

    @property
    def kind(self) -> str:
        """How each side is inverted."""
        names = (
            type(side).__name__.removesuffix("Inverse") for side in (self.inverse.left, self.inverse.right)
        )
        return " x ".join(_SPOKEN.get(name, name.lower()) for name in names)

    @property
    def count(self) -> int:
        """Batches so far."""
        return int(self.left.count)

    def prepare(self, rows: Rows) -> tuple[tuple[Any, float], tuple[Any, float]]:
        """Check the rows of a batch; nothing changes."""
        return _prepared(self.left, self.sources[0], rows), _prepared(self.right, self.sources[1], rows)

    def absorb(self, prepared: tuple[tuple[Any, float], tuple[Any, float]]) -> None:
        """Average in what was checked."""
        for factor, (batch, scale) in zip((self.left, self.right), prepared, strict=True):
            factor.absorb(batch, scale)

    def renewal(self, damping: Damping, *, detached: bool) -> Callable[[], Outcome[TwoSidedInverse]]:
        """A refresh to be run now or, detached from later batches, on another thread."""
        left, right = (self.left.copy(), self.right.copy()) if detached else (self.left, self.right)
        inverse = self.inverse
        return lambda: attempt(lambda d, wide: inverse.renewed(left, right, d, wide=wide), damping)

    def adopt(self, made: TwoSidedInverse) -> None:
        """Take what a refresh has made."""
        self.inverse = made

    def set_damping(self, damping: Damping) -> None:
        """Damp anew the sides in eigenvectors."""
        self.inverse = self.inverse.with_damping(damping)

    @property
    def held_as_array(self) -> bool:
        """Whether an inverse is an array."""
        return self.inverse.left.matrix is not None or self.inverse.right.matrix is not None

    def precondition(self, V: Array) -> Array:
        """The damped inverse applied to a gradient; the gradient itself before the first refresh."""
        return V.copy() if self.inverse.shifts is None else self.inverse.precondition(V)

    def quadform(self, V: Array) -> float:
        """``<V, inverse applied to V>``."""
        return self.inverse.quadform(V)

    def logdet(self) -> float:
        """Of the damped curvature."""
        return self.inverse.logdet()

    @property
    def condition(self) -> float | None:
        """Of the damped curvature."""
        return None if self.inverse.shifts is None else self.inverse.condition

    @property
    def truncated(self) -> float:
        """The larger share of a trace that is not in the pairs kept."""
        return max(_truncated(self.inverse.left), _truncated(self.inverse.right))

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        parts = {"left": self.left.state_dict(), "right": self.right.state_dict()}
        parts["inverse"] = self.inverse.state_dict()
        return joined(parts)

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        parts = parted(state)
        left, right = self.left.copy(), self.right.copy()
        for name, factor in (("left", left), ("right", right)):
            wanted = _settings(factor)
            factor.load_state_dict(parts.get(name))
            if _settings(factor) != wanted:
                raise StateError(f"{name}: expected a factor of {wanted}, got {_settings(factor)}")
        inverse = self.inverse.restored(parts.get("inverse", {}))
        return type(self)(left, right, self.sources, inverse)

    def made_state(self, made: TwoSidedInverse) -> dict[str, Any]:
        """Of what a refresh has made."""
        return made.state_dict()

    def made_restored(self, state: dict[str, Any]) -> TwoSidedInverse:
        """What a refresh had made.

        Raises
        ------
        StateError
        """
        if "shifts" not in state:
            raise StateError("shifts: missing field")
        return self.inverse.restored(state)


def _settings(factor: Any) -> dict[str, Any]:
    """What a state must agree with."""
    shared = {"dim": factor.dim, "ema": factor.ema, "start": factor.start, "dtype": factor.dtype.name}
    return {**shared, "rank": getattr(factor, "rank", None)}


_SPOKEN = {"LowRank": "low_rank"}


def _prepared(factor: Any, source: str, rows: Rows) -> tuple[Any, float]:
    if source == "g":
        return factor.prepare(rows.g), 1.0
    return factor.prepare(rows.a), float(rows.uses)


def _truncated(side: Any) -> float:
    return float(side.info.error_relative or 0.0) if side.info.error_kind == "trace" else 0.0
