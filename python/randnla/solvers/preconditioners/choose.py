# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From the argument ``preconditioner=`` to something that is applied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError
from randnla.lowrank.call import Call
from randnla.lowrank.oracle import Oracle
from randnla.lowrank.rpcholesky import factorize
from randnla.lowrank.scaling import Array, normalize
from randnla.operators import LinearOperator, Sparse, as_operator

from ..krylov.conjugate_gradients import Precondition
from ..system import System
from .growing import START, TARGET, GrowingNystrom, Growth, largest_rank
from .make import eigenpairs_of_factor
from .spectral import SpectralPreconditioner

NAMES = ("nystrom", "rpcholesky")


@dataclass
class Chosen:
    """A preconditioner in the units of the system, None for none, and how it may grow."""

    name: str
    system: System
    spectral: SpectralPreconditioner | None = None
    given: LinearOperator | None = None
    sketch: GrowingNystrom | None = None
    growth: Growth | None = None
    unchecked: bool = True  # no product has told yet whether A is Hermitian

    @property
    def is_spectral(self) -> bool:
        """Made of eigenpairs."""
        return self.spectral is not None

    @property
    def rank(self) -> int:
        """Of the eigenpairs; 0 where there are none."""
        return 0 if self.spectral is None else self.spectral.rank

    @property
    def largest(self) -> float:
        """The largest eigenvalue it knows of A."""
        return 0.0 if self.spectral is None else float(self.spectral.w.max(initial=0.0))

    def apply(self, shifts: Array) -> Precondition | None:
        """Residuals and their columns to directions."""
        if self.spectral is not None:
            spectral = self.spectral
            return lambda R, columns: spectral.apply(R, shifts[columns])
        if self.given is not None:
            given = self.given
            return lambda R, columns: np.array(given.matmat(R), R.dtype, order="F")
        return None

    def pays(self, s: float, left: float) -> bool:
        """Whether to double the rank with so many steps to go."""
        return (
            self.growth is not None
            and self.spectral is not None
            and self.growth.pays(self.spectral.w, s, left)
        )

    def double(self) -> None:
        """Twice the columns: products made before are kept."""
        assert self.sketch is not None
        self.spectral = self.sketch.grow(2 * self.rank)


def choose(system: System, wanted: Any, rank: Any, shift: float, max_memory: int | None) -> Chosen:
    """Check ``preconditioner=`` and ``rank=`` and make what they ask for."""
    n = system.problem.shape[0]
    if isinstance(wanted, str):
        validate.choice(wanted, NAMES, name="preconditioner")
    if isinstance(rank, str):
        validate.choice(rank, ("auto",), name="rank")
        fixed = None
    else:
        fixed = validate.rank(rank, n)
    if wanted is None or fixed == 0 or n == 0:
        return Chosen("none", system)
    if not isinstance(wanted, str):
        return _given(system, wanted, shift)
    if wanted == "rpcholesky":
        return _rpcholesky(system, fixed, shift)
    return _nystrom(system, fixed, shift, max_memory)


def _given(system: System, wanted: Any, shift: float) -> Chosen:
    op = given_operator(system, wanted)
    if isinstance(op, SpectralPreconditioner):
        op = op.with_shift(shift)
    return Chosen("given", system, given=op)


def given_operator(system: System, wanted: Any) -> LinearOperator:
    """The caller's own preconditioner: an operator, an array or a callable."""
    n = system.problem.shape[0]
    if isinstance(wanted, str):
        raise InputError(
            f"preconditioner: expected an operator, an array, a callable or None, got {wanted!r}"
        )
    if callable(wanted) and not hasattr(wanted, "shape"):
        return _Called(wanted, n, system.dtype)
    op = as_operator(wanted, name="preconditioner")
    if op.shape != (n, n):
        raise InputError(f"preconditioner: expected shape {(n, n)} as A has, got {op.shape}")
    if op.dtype.kind == "c" and system.dtype.kind != "c":
        raise InputError(f"preconditioner: expected real numbers as A has, got {op.dtype}")
    op.require_finite(name="preconditioner")
    return op


class _Called(LinearOperator):
    """A function of blocks as an operator."""

    def __init__(self, function: Any, n: int, dtype: Any) -> None:
        super().__init__((n, n), dtype)
        self.function = function

    def _matmat(self, X: Array) -> Array:
        # A copy: what the function writes into it is its own.
        Y = validate.as_array(self.function(np.array(X)), name="preconditioner(R)", ndim=2)
        if Y.shape != X.shape:
            raise InputError(f"preconditioner(R): expected shape {X.shape}, got {Y.shape}")
        validate.require_finite(Y, name="preconditioner(R)")
        return validate.native(Y, self.dtype, name="preconditioner(R)")

    def _rmatmat(self, Y: Array) -> Array:
        return self._matmat(Y)


def _nystrom(system: System, fixed: int | None, shift: float, max_memory: int | None) -> Chosen:
    n = system.problem.shape[0]
    sketch = GrowingNystrom(system.problem, system.forward, n)
    chosen = Chosen("nystrom", system, sketch=sketch, unchecked=False)
    chosen.spectral = sketch.grow(min(n, START) if fixed is None else fixed)
    _require_definite(system, chosen, shift)
    if fixed is not None:
        return chosen
    k, itemsize = system.B.shape[1], system.dtype.itemsize
    limit = largest_rank(n, itemsize, max_memory)
    chosen.growth = growth = Growth(_cost(system), n, k, limit, system.tol)
    s = system.in_unit(shift)
    while chosen.pays(s, min(growth.before(chosen.spectral.w, s), float(system.maxiter))):
        chosen.double()
    return chosen


def _require_definite(system: System, chosen: Chosen, shift: float) -> None:
    if chosen.largest == 0.0 and shift == 0.0 and system.B.any():
        raise BreakdownError("A: expected a positive definite matrix; every eigenvalue that was seen is zero")


def _cost(system: System) -> float:
    """Multiplications of a product with one column."""
    op = system.problem.op
    return 2.0 * float(op.matrix.nnz) if isinstance(op, Sparse) else float(op.shape[0]) * float(op.shape[1])


def _rpcholesky(system: System, fixed: int | None, shift: float) -> Chosen:
    if shift <= 0:
        raise InputError(f"shift: expected a positive number for 'rpcholesky', got {shift}")
    problem = system.problem
    n = problem.shape[0]
    most = min(n, math.ceil(10 * math.sqrt(n))) if fixed is None else fixed
    tol = None
    if fixed is None:
        # trace(A) is n times the mean of the diagonal; the tolerance needs it before the first pivot.
        trace = _trace(system)
        tol = min(TARGET * shift / trace, 0.5) if trace > 0 else None
        tol = None if tol == 0.0 else tol
    call = Call(problem, system.kind, True, most, tol, "frobenius", 0, None, "gaussian", "auto", None)
    F, _, info = factorize(call)
    exponent = normalize(F)
    w, V = eigenpairs_of_factor(problem.seed, F)
    system.set_unit(2 * exponent if w.size else None)
    w = np.ldexp(w, 2 * exponent - (system.exponent or 0))
    system.notes.append(f"{info.entries} entries")
    return Chosen("rpcholesky", system, spectral=SpectralPreconditioner(w, V, tail=0.0))


def _trace(system: System) -> float:
    oracle = Oracle(system.problem.op, check_finite=True)
    if oracle.route != "entries":
        return 0.0  # its diagonal takes a pass of its own
    return float(np.ldexp(math.fsum(oracle.diagonal()), oracle.exponent))
