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
from randnla._backend.kernels import dense, kron, qr
from randnla._backend.kernels.dense import Array

from ..damping import Damping, Moments, Shifts
from .largest import largest_eigenvalue
from .low_rank_inverse import LowRankInverse
from .protocol import Factor, FactorInverse, ScaledFactor, WideFactor, extreme

DELICATE = 16.0  # times sqrt(order) eps cond > 1: rounding of the largest weight would hide the least


class TwoSidedInverse:
    """``V -> (L kron R, damped)^-1`` applied to V: L from the left, R from the right.

    Parameters
    ----------
    left, right : FactorInverse
        How each factor is to be inverted. They are copied, never changed.
    negligible : float, default 0
        Eigenpairs of at most this share of the damping of their factor are left to what continues them: the
        inverse of the factor changes by that share at most. Not where the damping is of the product.

    Attributes
    ----------
    left, right : FactorInverse
    shifts : Shifts or None
        What the last refresh added to each factor and to the product; None before the first.
    exponents : (int, int)
        The sides invert their factors over 2^exponent; 0 unless a factor is so small or large that its
        inverse, or the product of the two, might leave the range of float32.

    Notes
    -----
    A refresh makes a new object and leaves this one as it was, so that it can run on another thread, or fail.

    *Cost*: of ``precondition`` on V (m, n), 2 m n (m + n) flops with arrays on both sides, 4 m n (m + n) in
    eigenvectors, 4 m n (r + s) with r and s pairs.
    """

    def __init__(self, left: FactorInverse, right: FactorInverse, *, negligible: float = 0.0) -> None:
        self.left, self.right, self.negligible = copy.copy(left), copy.copy(right), negligible
        self.shifts: Shifts | None = None
        self.exponents = (0, 0)
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
        sides = [("left", made.left, left), ("right", made.right, right)]
        exponents = {name: _exponent(factor, 0.0) for name, _, factor in sides}
        for name, side, factor in sides:
            if _in_eigenvectors(side):
                _refresh(side, _view(factor, exponents[name], wide=wide), 0.0, name)
            elif damping.joint:
                raise InputError("damping: Exact needs inverses in eigenvectors, or low rank, on both sides")
        first, second = (
            _moments(side, factor, exponents[name], spectral_norm=damping.spectral)
            for name, side, factor in sides
        )
        made._moments, made.shifts = (first, second), damping.shifts(first, second)
        for name, side, factor in sides:
            if not _in_eigenvectors(side):
                shift = getattr(made.shifts, name)
                e = exponents[name] = _exponent(factor, shift)
                _refresh(side, _view(factor, e, wide=wide), math.ldexp(shift, -e), name)
            if wide:
                side.cast(factor.dtype)
        made.exponents = exponents["left"], exponents["right"]
        made._damp(made.shifts)
        for name, side, _ in sides:
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
        made._damp(made.shifts)
        made._require_definite()
        return made

    def _damp(self, shifts: Shifts) -> None:
        """Tell the sides in eigenvectors of their damping."""
        for side, shift, e in zip(
            (self.left, self.right), (shifts.left, shifts.right), self.exponents, strict=True
        ):
            if _in_eigenvectors(side):
                side.damping = math.ldexp(shift, -e)
                if isinstance(side, LowRankInverse):
                    side.leave_to_tail(self.negligible * side.damping)

    def _require_definite(self) -> None:
        """Refuse what would divide by zero or overflow, before it takes the place of a good inverse."""
        least, largest = self._extremes()
        smallest = 4 / float(np.finfo(np.float32).max)
        if not (least > smallest * largest and least > 1e-290 and math.isfinite(largest)):
            raise BreakdownError(
                f"damping: the damped product has the eigenvalue {least:.3g}: it is singular"
            )

    def _extremes(self) -> tuple[float, float]:
        """The least and the largest eigenvalue of the damped product over 2^exponents, as far as known."""
        shifts = self._scaled_shifts()
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

    def _scaled_shifts(self) -> Shifts:
        """What was added to the factors as the sides know them: over 2^exponent."""
        shifts, (p, q) = self._known_shifts(), self.exponents
        return Shifts(
            math.ldexp(shifts.left, -p), math.ldexp(shifts.right, -q), math.ldexp(shifts.whole, -p - q)
        )

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
        shifts, exponent = self._scaled_shifts(), sum(self.exponents)
        first, second = self.left.matrix, self.right.matrix
        if first is not None:
            V = dense.gemm(first, V)
        if second is not None:
            V = dense.gemm(V, second)
        if first is not None and second is not None:
            return qr.scale_by_power(V, -exponent) if exponent else V
        P, s = self.left.spectral or (None, np.ones(V.shape[0]))
        Q, t = self.right.spectral or (None, np.ones(V.shape[1]))
        s = s + shifts.left if first is None else s
        t = t + shifts.right if second is None else t
        conj = Q if Q is None or Q.dtype.kind != "c" else Q.conj()
        least, largest = float(s.min() * t.min()) + shifts.whole, float(s.max() * t.max()) + shifts.whole
        unit = extreme(least)
        weights = kron.KronWeights(s, t, shifts.whole, -2, math.ldexp(1.0, unit))
        exponent += unit
        order = max(V.shape)
        delicate = DELICATE * math.sqrt(order) * float(np.finfo(V.dtype).eps) * largest > least
        out = kron.kron_function(P, conj, weights, np.ascontiguousarray(V)[None], project_twice=delicate)
        return qr.scale_by_power(out[0], -exponent) if exponent else np.asarray(out[0])

    def quadform(self, V: Array) -> float:
        """``<V, inverse applied to V>``, summed in float64."""
        W = self.precondition(V)
        wide = np.result_type(V.dtype, np.float64)
        return max(0.0, float(np.sum(V.conj() * W, dtype=wide).real))

    def logdet(self) -> float:
        """``log det`` of the damped product (of its inverse, the negative of it)."""
        shifts = self._scaled_shifts()
        m, n = self.left.dim, self.right.dim
        scaled = m * n * sum(self.exponents) * math.log(2.0)
        if not shifts.whole:
            return n * self.left.logdet() + m * self.right.logdet() + scaled
        (s, j), (t, k) = (_multiplicities(side) for side in (self.left, self.right))
        return float(j @ np.log(np.multiply.outer(s, t) + shifts.whole) @ k) + scaled

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays, the sides' behind prefixes "left/" and "right/"."""
        state: dict[str, Any] = {}
        if self.shifts is not None:
            state["shifts"] = np.array([self.shifts.left, self.shifts.right, self.shifts.whole])
            state["exponents"] = np.array(self.exponents)
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
        made = type(self)(self.left, self.right, negligible=self.negligible)
        if not state:
            return made
        shifts = np.asarray(state.get("shifts", ()), dtype=np.float64)
        if shifts.shape != (3,) or not (np.isfinite(shifts).all() and (shifts >= 0).all()):
            raise StateError("shifts: expected three numbers >= 0")
        made.shifts = Shifts(*map(float, shifts))
        moments = plain_state.array_of(state, "moments", (2, 2), np.float64) if "moments" in state else None
        if moments is None:
            raise StateError("moments: missing field")
        exponents = plain_state.array_of(state, "exponents", (2,), np.int64).tolist()
        if max(map(abs, exponents)) > 2200:
            raise StateError(f"exponents: expected those of float64, got {exponents}")
        made.exponents = exponents[0], exponents[1]
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


def _exponent(factor: Factor, shift: float) -> int:
    """Of the damped factor, where it can be scaled."""
    return extreme(max(factor.trace / factor.dim, shift)) if hasattr(factor, "value_over") else 0


def _view(factor: Factor, exponent: int, *, wide: bool) -> Factor:
    """The factor over 2^exponent, in float64 if wished."""
    seen = ScaledFactor(factor, exponent) if exponent else factor
    return WideFactor(seen) if wide and hasattr(seen, "sum_times") else seen


def _moments(side: FactorInverse, factor: Factor, exponent: int, *, spectral_norm: bool) -> Moments:
    known = side.spectral if _in_eigenvectors(side) else None
    if known is not None:
        largest = math.ldexp(float(known[1].max()), exponent)
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
