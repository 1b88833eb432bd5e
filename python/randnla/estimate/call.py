# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the estimators share: arguments checked once, products in one unit, results with their account."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, warn
from randnla._backend.kernels import dense, streams
from randnla._backend.results import Estimate, Info
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.lowrank.call import kind_of_operator
from randnla.lowrank.factor import require_symmetry, widen
from randnla.lowrank.problem import Problem
from randnla.lowrank.scaling import (
    Array,
    in_units,
    largest_magnitude,
    real_dtype,
    scale_by_power,
    unit_roundoff,
)
from randnla.operators import as_operator

SKETCH_STREAM, RESIDUAL_STREAM = 0, 1
"""Of the vectors that a basis is made from, and of those that are independent of it."""


@dataclass
class Call:
    """One call's matrix, with products in the units 2^exponent that the first of them found."""

    problem: Problem
    kind: namespace.Kind
    probes: str = "sign"
    resphere: bool = False
    tol: float | None = None
    budget: int | None = None
    exponent: int | None = None

    @property
    def n(self) -> int:
        """Columns of A."""
        return self.problem.shape[1]

    def vectors(self, start: int, count: int, *, stream: int = SKETCH_STREAM) -> Array:
        """Test vectors from start on, as columns: a larger call of one seed holds the smaller."""
        rows = np.empty((count, self.n), real_dtype(self.problem.dtype))
        kind: Any = self.probes
        streams.fill_dense_map(rows, kind=kind, seed=self.problem.seed, stream=stream, row_start=start)
        self.problem.sketch = self.probes
        return rows.T

    def forward(self, X: Array) -> Array:
        """2^-exponent A X."""
        return self._in_units(self.problem.forward, X)

    def adjoint(self, X: Array) -> Array:
        """2^-exponent A^H X."""
        return self._in_units(self.problem.adjoint, X)

    def _in_units(self, product: Callable[[Array], Array], X: Array) -> Array:
        Y, exponent = self.problem.ranged(lambda B: np.array(product(B)), X)
        if self.exponent is None:
            if not Y.any():
                return Y  # zero in all units: the next product finds one
            self.exponent = exponent
        return scale_by_power(Y, exponent - self.exponent)

    def value(self, number: Any) -> Any:
        """A number in units of the call in those of A."""
        e = self.exponent or 0
        if isinstance(number, complex):
            return complex(in_units(number.real, e), in_units(number.imag, e))
        return in_units(float(number), e)


def begin(
    A: Any,
    *,
    rng: Any = None,
    check_finite: Any = True,
    max_memory: Any = None,
    callback: Any = None,
    square: bool = True,
    tol: Any = None,
    budget: Any = None,
) -> Call:
    """Check every argument that estimators share."""
    check_finite = validate.flag(check_finite, name="check_finite")
    memory = validate.memory(max_memory)
    op = as_operator(A, check_finite=check_finite, max_memory=memory)
    if square and op.shape[0] != op.shape[1]:
        raise InputError(f"A: expected a square matrix, got shape {op.shape}")
    problem = Problem(op, kind_of_operator(op), seed_from(rng), callback=validate.callback(callback))
    return Call(
        problem,
        namespace.kind_of(A),
        tol=None if tol is None else validate.tolerance(tol),
        budget=None if budget is None else validate.integer(budget, name="budget", low=1),
    )


def choose_probes(call: Call, probes: Any, resphere: Any, default: str) -> None:
    """The kind of test vectors, and whether their lengths are scaled away."""
    validate.choice(probes, ("auto", "gaussian", "sign"), name="probes")
    wanted = None
    if isinstance(resphere, str):
        validate.choice(resphere, ("auto",), name="resphere")
    else:
        wanted = validate.flag(resphere, name="resphere")
    if probes == "auto":
        probes = "gaussian" if wanted else default if wanted is None else "sign"
    if wanted and probes == "sign":
        raise InputError("resphere: True needs probes='gaussian', whose directions are uniform")
    call.probes, call.resphere = probes, probes == "gaussian" and wanted is not False


def require_hermitian(X: Array, Y: Array) -> None:
    """X^H Y = X^H A X must be Hermitian; costs no product.

    Raises
    ------
    InputError
        It is not, beyond the root of the unit roundoff.
    """
    require_symmetry(widen(dense.gemm(X.conj().T, Y)), unit_roundoff(Y.dtype))


def spread_of_mean(samples: Array, axis: int = -1) -> Array:
    """The standard error of the mean of independent samples, honest for few of them.

    The root of the mean square is multiplied so that two of it hold the truth of normal samples as often as
    two of a normal law do: by Student's quantile, 7 times for two samples, 1.13 for twelve.
    """
    count = samples.shape[axis]
    if count < 2:
        return np.zeros(np.delete(samples.shape, axis))
    few = float(stdtrit(count - 1, ndtr(2.0))) / 2.0
    mean = samples.mean(axis=axis, keepdims=True)
    off = np.abs(samples - mean)
    # Squares at scale 1: those of very large or small samples leave the range.
    e = np.frexp(off.max(axis=axis, keepdims=True))[1]
    squares = (np.ldexp(off, -e) ** 2).sum(axis=axis)
    return np.asarray(np.ldexp(few * np.sqrt(squares / (count - 1) / count), e.squeeze(axis)))


def mean_and_error(samples: Array, rounding: float, caution: float = 1.0) -> tuple[Any, float]:
    """Mean of the samples and the standard error of it, `caution` times that of independent ones."""
    mean = samples.mean(axis=-1)
    number = complex(mean) if np.iscomplexobj(samples) else float(mean)
    return number, math.hypot(caution * float(spread_of_mean(samples)), rounding)


def account(call: Call, *, method: str, samples: int | None, error: float, size: float) -> Info:
    """``info`` of a finished call: `error` and `size` in the units of A; warns where `tol` is not met."""
    relative = error / size if size > 0 else float(error > 0)
    if call.tol is not None and not relative <= call.tol:
        warn(
            f"the estimated relative error {relative:.3g} exceeds tol={call.tol:.3g} "
            f"after {call.problem.matvecs} products"
        )
    problem = call.problem
    return Info(
        method=method,
        sketch=problem.sketch,
        passes=problem.passes,
        matvecs=problem.matvecs,
        error_estimate=error,
        error_relative=relative,
        converged=None if call.tol is None else bool(relative <= call.tol),
        iterations=samples,
        seed=problem.seed,
        path=", ".join(problem.path) or "direct",
        stream_version=STREAM_VERSION,
        memory=problem.peak_memory(),
    )


def estimate(call: Call, value: Any, error: float, *, method: str, samples: int | None = None) -> Estimate:
    """A number and its standard error, in the units of the call, as a result."""
    value, error = call.value(value), in_units(error, call.exponent or 0)
    info = account(call, method=method, samples=samples, error=error, size=abs(value))
    return Estimate(value, error, info=info.replace(error_kind="trace"))


def identity_blocks(n: int, dtype: Any, width: int = 256) -> Any:
    """(start, block) of the columns of the identity."""
    for start in range(0, n, width):
        block = np.zeros((n, min(width, n - start)), real_dtype(dtype))
        block[np.arange(start, start + block.shape[1]), np.arange(block.shape[1])] = 1
        yield start, block


def exact_diagonal(call: Call) -> tuple[Array, int, Array]:
    """The diagonal from n products, in units of the returned power of two, and the norms of the columns."""
    n = call.n
    pieces, lengths, exponents = [], [], []
    for start, block in identity_blocks(n, call.problem.dtype):
        Y, e = call.problem.ranged(call.problem.forward, block)
        columns = np.arange(block.shape[1])
        pieces.append(widen(Y[start + columns, columns][None])[0])
        lengths.append(np.linalg.norm(widen(Y), axis=0))
        exponents.append(e if largest_magnitude(Y) else None)
    known = [e for e in exponents if e is not None]
    unit = max(known, default=0)
    shifts = [(e - unit if e is not None else 0) for e in exponents]
    scaled = [np.array(p) for p in pieces]
    for p, q, shift in zip(scaled, lengths, shifts, strict=True):
        scale_by_power(p, shift)
        scale_by_power(q, shift)
    wide = np.complex128 if call.problem.dtype.kind == "c" else np.float64
    return np.concatenate([np.zeros(0, wide), *scaled]), unit, np.concatenate([np.zeros(0), *lengths])
