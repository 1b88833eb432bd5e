# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the iterative solvers share: arguments checked once, A and b in units that keep products in range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import BreakdownError, InputError, warn
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.lowrank.call import kind_of_operator
from randnla.lowrank.problem import Problem
from randnla.lowrank.scaling import (
    Array,
    exponent_of,
    normalize,
    scale_by_power,
    unit_roundoff,
)
from randnla.operators import Dense, KernelMatrix, LinearOperator, Sparse, as_operator

Product = Callable[[Array], Array]

TOLERANCE = {8: 1e-8, 4: 1e-4}
"""By bytes of a real number."""


@dataclass
class System:
    """A matrix in units of 2^exponent and right-hand sides, each in units of its own.

    Attributes
    ----------
    B : (m, k) array in Fortran order
        Real and imaginary parts side by side where A is real and b is not.
    units : (k,) int array
        ``b_j = 2^units[j] B_j``.
    """

    problem: Problem
    kind: namespace.Kind
    B: Array
    units: Array
    vector: bool
    parts: bool  # columns are the real parts, then the imaginary parts
    tol: float
    maxiter: int
    callback: Any
    exponent: int | None = None
    least: int | None = None  # of `exponent`: the unit of what is added to A
    steps: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the computation."""
        return self.problem.dtype

    @property
    def roundoff(self) -> float:
        """Unit roundoff of the computation."""
        return unit_roundoff(self.problem.dtype)

    def forward(self, X: Array) -> Array:
        """``2^-exponent A X``."""
        return self._in_units(self.problem.forward, X, self.problem.shape[0])

    def adjoint(self, X: Array) -> Array:
        """``2^-exponent A^H X``."""
        return self._in_units(self.problem.adjoint, X, self.problem.shape[1])

    def _in_units(self, product: Product, X: Array, rows: int) -> Array:
        if not X.any():
            return np.zeros((rows, X.shape[1]), self.dtype, order="F")
        # A copy: the product of an identity is its operand.
        Y, exponent = self.problem.ranged(lambda Z: np.array(product(Z), order="F"), X)
        if self.exponent is None:
            if not Y.any() and self.least is None:
                return Y  # zero in all units: the next product finds one
            self.set_unit(exponent if Y.any() else None)
            assert self.exponent is not None
        return scale_by_power(Y, exponent - self.exponent)

    def set_unit(self, exponent: int | None) -> None:
        """The unit of A, where that is not below the one of what is added to it."""
        known = [e for e in (exponent, self.least) if e is not None]
        self.exponent = max(known) if known else None

    def add(self, shift: float) -> None:
        """Make room for a number that is added to the diagonal, before the first product."""
        self.least = exponent_of(shift) if shift else None

    def in_unit(self, magnitude: float) -> float:
        """A number in the units of A in those of the system."""
        return float(np.ldexp(magnitude, -(self.exponent or 0)))

    def report(self, **state: Any) -> None:
        """Tell the caller's callback about a step."""
        if self.callback is not None:
            self.callback({"iteration": self.steps, **state})

    def answer(self, X: Array) -> Any:
        """The solution in the caller's units, shape and kind."""
        return namespace.restore(self.kind, self._shaped(X))

    def answers(self, X: Array, count: int) -> Any:
        """`count` solutions side by side, stacked along a new first axis."""
        k = X.shape[1] // count
        parts = [self._shaped(X[:, i * k : (i + 1) * k]) for i in range(count)]
        return namespace.restore(self.kind, np.stack(parts))

    def _shaped(self, X: Array) -> Array:
        X = np.array(X, order="F")
        with np.errstate(over="ignore"):
            for j, unit in enumerate(self.units):
                scale_by_power(X[:, j], int(unit) - (self.exponent or 0))
        if not np.isfinite(X).all():
            raise BreakdownError(
                f"A: the solution is out of the range of {self.dtype}; expected A or b in other units"
            )
        if self.parts:
            k = X.shape[1] // 2
            X = X[:, :k] + 1j * X[:, k:]
        return X[:, 0] if self.vector else np.ascontiguousarray(X)

    def account(self, **facts: Any) -> Info:
        """``info`` of a finished run."""
        problem = self.problem
        return Info(
            sketch=problem.sketch,
            passes=problem.passes,
            matvecs=problem.matvecs,
            iterations=self.steps,
            seed=problem.seed,
            path=", ".join(dict.fromkeys([*self.notes, *problem.path])) or "direct",
            stream_version=STREAM_VERSION,
            memory=problem.peak_memory(),
            **facts,
        )


def begin(
    A: Any,
    b: Any,
    *,
    tol: Any = None,
    maxiter: Any = None,
    rng: Any = None,
    check_finite: Any = True,
    max_memory: Any = None,
    callback: Any = None,
    square: bool = True,
) -> System:
    """Check every argument that the solvers share."""
    check_finite = validate.flag(check_finite, name="check_finite")
    op = as_operator(A, check_finite=check_finite, max_memory=max_memory)
    m, n = op.shape
    if square and m != n:
        raise InputError(f"A: expected a square matrix, got shape {op.shape}")
    block = validate.as_array(b, name="b", ndim=(1, 2))
    if block.shape[0] != m:
        raise InputError(f"b: expected {m} rows as A has, got shape {block.shape}")
    tolerance = None if tol is None else validate.tolerance(tol)
    steps = min(10 * n, 10_000) if maxiter is None else validate.integer(maxiter, name="maxiter", low=0)
    validate.callback(callback)
    seed = seed_from(rng)
    if check_finite:
        op.require_finite(name="A")
    # Its units need all of b to be read: that it is finite costs nothing.
    validate.require_finite(block, name="b")
    vector = block.ndim == 1
    block = block[:, None] if vector else block
    parts = block.dtype.kind == "c" and op.dtype.kind != "c"
    if parts:
        block = np.concatenate([block.real, block.imag], axis=1)
    dtype = np.result_type(op.dtype, block.dtype)
    B = np.array(block, dtype, order="F")
    units = np.array([normalize(column) for column in B.T], int)
    op = promoted(op, dtype)
    problem = Problem(op, kind_of_operator(op), seed)
    if tolerance is None:
        tolerance = TOLERANCE[np.dtype(dtype).type(0).real.itemsize]
    return System(problem, namespace.kind_of(b), B, units, vector, parts, tolerance, steps, callback)


def promoted(op: LinearOperator, dtype: Any) -> LinearOperator:
    """The operator with numbers of at least this dtype: converted once, not in every product."""
    if op.dtype == dtype:
        return op
    if isinstance(op, Dense):
        return Dense(op.array.astype(dtype), check_finite=op.check_finite)
    if isinstance(op, Sparse):
        return Sparse(op.matrix.astype(dtype), check_finite=op.check_finite)
    if isinstance(op, KernelMatrix) and op.points is op.points2 and np.dtype(dtype).kind == "f":
        return KernelMatrix(
            op.points,
            kernel=op.kernel,
            bandwidth=op.bandwidth,
            dtype=dtype,
            name=op.name,
            check_finite=op.check_finite,
        )
    return _Promoted(op, dtype)


class _Promoted(LinearOperator):
    """An operator that is given and returns numbers of a wider dtype."""

    def __init__(self, base: LinearOperator, dtype: Any) -> None:
        super().__init__(base.shape, dtype, check_finite=base.check_finite)
        self.base = base

    def _matmat(self, X: Array) -> Array:
        return np.asarray(self.base.matmat(X.astype(self.dtype, copy=False)))

    def _rmatmat(self, Y: Array) -> Array:
        return np.asarray(self.base.rmatmat(Y.astype(self.dtype, copy=False)))

    def frobenius_norm(self) -> float | None:
        """That of the operator itself."""
        return self.base.frobenius_norm()

    def require_finite(self, *, name: str = "A") -> None:
        """The operator itself."""
        self.base.require_finite(name=name)


def warn_unless_converged(system: System, info: Info, name: str, why: str) -> None:
    """A warning where the certificate says that the tolerance was not met."""
    if not info.converged:
        error = info.error_relative if info.error_kind == "energy" else info.residual
        warn(
            f"{name}: relative {'error' if info.error_kind == 'energy' else 'residual'} {error:.3g} exceeds "
            f"tol={system.tol:.3g} after {system.steps} iterations" + (f": {why}" if why else "")
        )


def backward_error(residual_norms: Array, solution_norms: Array) -> float:
    """The least ||E|| with ``(A + E) x_j = b_j``, the largest of the columns: ``|r_j| / |x_j|``."""
    zero = solution_norms == 0
    ratios = residual_norms / np.where(zero, 1.0, solution_norms)
    ratios = np.where(zero, np.where(residual_norms > 0, np.inf, 0.0), ratios)
    return float(np.max(ratios, initial=0.0))
