# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The damped inverse of a Kronecker product of two averaged factors, applied to matrices from both sides."""

from __future__ import annotations

import copy
import math
from typing import Any, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import BreakdownError, InputError, NonFiniteError, StateError
from randnla._backend.kernels import dense, kron
from randnla._backend.kernels.dense import Array

from .damping import Damping, Moments, Shifts
from .inverse import Factor, FactorInverse, WideFactor
from .largest import largest_eigenvalue

DELICATE = 16.0  # times sqrt(order) eps cond > 1: rounding of the largest weight would hide the least


class TwoSidedInverse:
    """``V -> (L kron R, damped)^-1`` applied to V: L from the left, R from the right.

    Parameters
    ----------
    left, right : FactorInverse
        How each factor is to be inverted. They are copied, never changed.

    Attributes
    ----------
    left, right : FactorInverse
    shifts : Shifts or None
        What the last refresh added to each factor and to the product; None before the first.

    Notes
    -----
    A refresh makes a new object and leaves this one as it was, so that it can run on another thread, or fail.

    *Cost*: of ``precondition`` on V (m, n), 2 m n (m + n) flops with arrays on both sides, 4 m n (m + n) in
    eigenvectors, 4 m n (r + s) with r and s pairs.
    """

    def __init__(self, left: FactorInverse, right: FactorInverse) -> None:
        self.left, self.right = copy.copy(left), copy.copy(right)
        self.shifts: Shifts | None = None
        self._moments: tuple[Moments, Moments] | None = None

    def renewed(self, left: Factor, right: Factor, damping: Damping, *, wide: bool = False) -> Self:
        """One made from the factors as they are now; `wide` computes in float64.

        Raises
        ------
        InputError
            The damping is of the product, and a side is not held in eigenvectors.
        BreakdownError, NonFiniteError
            A factor cannot be inverted.
        """
        made = copy.copy(self)
        made.left, made.right = copy.copy(self.left), copy.copy(self.right)
        sides = ((made.left, left), (made.right, right))
        seen = [(side, WideFactor(f) if wide and hasattr(f, "sum_times") else f) for side, f in sides]
        for name, (side, factor) in zip(("left", "right"), seen, strict=True):
            if _in_eigenvectors(side):
                _refresh(side, factor, 0.0, name)
            elif damping.joint:
                raise InputError("damping: Exact needs inverses in eigenvectors, or low rank, on both sides")
        first, second = (_moments(side, factor, spectral_norm=damping.spectral) for side, factor in seen)
        made._moments, made.shifts = (first, second), damping.shifts(first, second)
        for name, (side, factor) in zip(("left", "right"), seen, strict=True):
            shift = getattr(made.shifts, name)
            if _in_eigenvectors(side):
                side.damping = shift
            else:
                _refresh(side, factor, shift, name)
        for (side, factor), (_, given) in zip(seen, sides, strict=True):
            if factor is not given:
                side.cast(given.dtype)
        for name, (side, _) in zip(("left", "right"), sides, strict=True):
            if side.matrix is not None and not dense.screen(side.matrix).finite:
                raise BreakdownError(f"{name} factor: its damped inverse overflows {side.matrix.dtype}")
        made._require_definite()
        return made

    def with_damping(self, damping: Damping) -> Self:
        """The same with another damping of the sides in eigenvectors; sides held as arrays keep theirs."""
        if self._moments is None:
            return self
        made = copy.copy(self)
        made.left, made.right = copy.copy(self.left), copy.copy(self.right)
        wanted, before = damping.shifts(*self._moments), self._known_shifts()
        left = (wanted if _in_eigenvectors(made.left) else before).left
        right = (wanted if _in_eigenvectors(made.right) else before).right
        made.shifts = Shifts(left, right, wanted.whole)
        made.left.damping, made.right.damping = left, right
        made._require_definite()
        return made

    def _require_definite(self) -> None:
        """Refuse what would divide by zero or overflow, before it takes the place of a good inverse."""
        least, largest = self._extremes()
        if not (least > 4 / float(np.finfo(np.float32).max) and math.isfinite(largest)):
            raise BreakdownError(
                f"damping: the damped product has the eigenvalue {least:.3g}: it is singular"
            )

    def _extremes(self) -> tuple[float, float]:
        """The least and the largest eigenvalue of the damped product, as far as they are known."""
        shifts = self._known_shifts()
        ends = []
        for side, shift in ((self.left, shifts.left), (self.right, shifts.right)):
            known = side.spectral
            if known is not None:
                ends.append((float(known[1].min()) + shift, float(known[1].max()) + shift))
            else:
                condition = side.info.condition or 1.0
                ends.append((1.0 / condition, 1.0))
        (a, b), (c, d) = ends
        return a * c + shifts.whole, b * d + shifts.whole

    def _known_shifts(self) -> Shifts:
        if self.shifts is None:
            raise StateError("inverse: expected a refresh before it is applied")
        return self.shifts

    @property
    def moments(self) -> tuple[Moments, Moments] | None:
        """Of the factors at the last refresh, left first; what a change of the damping asks for."""
        return self._moments

    @property
    def condition(self) -> float:
        """Of the damped product; in the 1-norm for sides held as arrays."""
        least, largest = self._extremes()
        return largest / least

    def precondition(self, V: Array) -> Array:
        """The damped inverse applied to a matrix V, a new array.

        Parameters
        ----------
        V : (m, n) array
            Finite, of the dtype of the inverses.

        Raises
        ------
        StateError
            There has been no refresh.
        """
        shifts = self._known_shifts()
        first, second = self.left.matrix, self.right.matrix
        if first is not None:
            V = dense.gemm(first, V)
        if second is not None:
            V = dense.gemm(V, second)
        if first is not None and second is not None:
            return V
        P, s = self.left.spectral or (None, np.ones(V.shape[0]))
        Q, t = self.right.spectral or (None, np.ones(V.shape[1]))
        s = s + shifts.left if first is None else s
        t = t + shifts.right if second is None else t
        weights = kron.KronWeights(s, t, shifts.whole, -2)
        conj = Q if Q is None or Q.dtype.kind != "c" else Q.conj()
        least, largest = float(s.min() * t.min()) + shifts.whole, float(s.max() * t.max()) + shifts.whole
        order = max(V.shape)
        delicate = DELICATE * math.sqrt(order) * float(np.finfo(V.dtype).eps) * largest > least
        out = kron.kron_function(P, conj, weights, np.ascontiguousarray(V)[None], project_twice=delicate)
        return np.asarray(out[0])

    def quadform(self, V: Array) -> float:
        """``<V, inverse applied to V>``, summed in float64."""
        W = self.precondition(V)
        wide = np.result_type(V.dtype, np.float64)
        return max(0.0, float(np.sum(V.conj() * W, dtype=wide).real))

    def logdet(self) -> float:
        """``log det`` of the damped product (of its inverse, the negative of it)."""
        shifts = self._known_shifts()
        m, n = self.left.dim, self.right.dim
        if not shifts.whole:
            return n * self.left.logdet() + m * self.right.logdet()
        (s, j), (t, k) = (_multiplicities(side) for side in (self.left, self.right))
        return float(j @ np.log(np.multiply.outer(s, t) + shifts.whole) @ k)

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays, the sides' behind prefixes "left/" and "right/"."""
        state: dict[str, Any] = {}
        if self.shifts is not None:
            state["shifts"] = np.array([self.shifts.left, self.shifts.right, self.shifts.whole])
            state["moments"] = np.array([[m.mean, m.largest] for m in self._moments or ()])
            for name, side in (("left", self.left), ("right", self.right)):
                state.update({f"{name}/{key}": value for key, value in side.state_dict().items()})
        return state

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this that is in the state described.

        Raises
        ------
        StateError
        """
        made = type(self)(self.left, self.right)
        if not state:
            return made
        shifts = np.asarray(state.get("shifts", ()), dtype=np.float64)
        if shifts.shape != (3,) or not (np.isfinite(shifts).all() and (shifts >= 0).all()):
            raise StateError("shifts: expected three numbers >= 0")
        made.shifts = Shifts(*map(float, shifts))
        moments = plain_state.array_of(state, "moments", (2, 2), np.float64) if "moments" in state else None
        if moments is None:
            raise StateError("moments: missing field")
        made._moments = (Moments(*map(float, moments[0])), Moments(*map(float, moments[1])))
        for name, side in (("left", made.left), ("right", made.right)):
            prefix = f"{name}/"
            side.load_state_dict(
                {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            )
        return made


def _refresh(side: FactorInverse, factor: Factor, damping: float, name: str) -> None:
    try:
        side.refresh(factor, damping)
    except (BreakdownError, NonFiniteError) as problem:
        raise type(problem)(f"{name} factor: {problem}") from problem


def _in_eigenvectors(side: FactorInverse) -> bool:
    return side.matrix is None


def _moments(side: FactorInverse, factor: Factor, *, spectral_norm: bool) -> Moments:
    known = side.spectral if _in_eigenvectors(side) else None
    if known is not None:
        largest = float(known[1].max())
    else:
        largest = largest_eigenvalue(factor) if spectral_norm else 0.0
    return Moments(factor.trace / factor.dim, largest)


def _multiplicities(side: FactorInverse) -> tuple[Array, Array]:
    """Eigenvalues without damping, and how often each occurs."""
    known = side.spectral
    if known is None:
        raise StateError("logdet: the exact damping needs eigenvalues on both sides")
    values = known[1]
    count = np.ones(values.size)
    count[-1] += side.dim - values.size
    return values, count
