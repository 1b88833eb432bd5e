# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots of dense positive definite matrices, whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import namespace, validate
from randnla._backend.errors import BreakdownError, InputError, warn
from randnla._backend.kernels import dense, qr
from randnla._backend.results import Info
from randnla.lowrank.error import frobenius
from randnla.lowrank.scaling import (
    exponent_of,
    in_units,
    largest_magnitude,
    real_dtype,
    scale_by_power,
    unit_roundoff,
)
from randnla.operators import dense_entries
from randnla.operators.factored import is_hermitian

from . import newton
from .known_root import reversed_adjoint, solve_cholesky
from .lanczos import extreme_values
from .results import RootResult

Array = npt.NDArray[Any]

METHODS = ("auto", "newton", "eigen")
ACCEPTED = 1e-6
"""Relative residual above which a warning is due."""

ACCEPTED_NEWTON = 1e-8
"""Relative residual above which the result of Newton's iteration is given up for eigenvectors."""


def sqrt(A: Any, *, method: str = "auto", check_finite: bool = True) -> RootResult:
    """The positive semidefinite square root of a dense Hermitian matrix.

    Parameters
    ----------
    A : array of shape (n, n)
        Hermitian positive semidefinite.
    method : {"auto", "newton", "eigen"}
        "eigen" takes all eigenvectors, also of singular A. "newton" takes products alone, for definite A,
        and falls back to "eigen" where its residual is not small; `info.path` says so. "auto" is "eigen".
    check_finite : bool, default True

    Returns
    -------
    RootResult
        `X` (n, n), `info`; `info.residual` is ``|X^2 - A|_F / |A|_F``.

    Raises
    ------
    InputError
        A is not square, not Hermitian or no array.
    NonFiniteError
        A holds NaN or Inf.
    BreakdownError
        A has a negative eigenvalue beyond rounding.

    Notes
    -----
    *Algorithm*: eigenvectors, or A times the inverse root of `inverse_root`. Everything is worked in float64.

    *Cost*: about 10 n^3 flops and, for the residual, 2 n^3.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.matrix_functions import sqrt
    >>> X = sqrt(np.array([[2.0, 1.0], [1.0, 2.0]])).X
    >>> (X @ X).round(12)
    array([[2., 1.],
           [1., 2.]])
    """
    held = _begin(A, method, check_finite, even=True)

    def residual(X: Array, A: Array) -> float:
        size = frobenius(A)
        return frobenius(dense.gemm(X, X) - A) / (size if size > 0 else 1.0)

    def eigen() -> tuple[Array, float, Array]:
        w, V, A = _eigenvalues(held, 0.0, semidefinite=True)
        return _from_eigen(np.sqrt(w), V), _condition(w), A

    def iterate() -> tuple[Array, newton.Newton]:
        run = newton.coupled_newton(held.A, 2, *_interval(held.A))
        X = dense.gemm(held.A, run.X)
        return (X + X.conj().T) / 2, run

    return _solve(held, eigen, iterate, residual, held.exponent // 2)


def inverse_root(
    A: Any, p: int, *, method: str = "auto", damping: float = 0.0, check_finite: bool = True
) -> RootResult:
    """``(A + damping I)^(-1/p)`` of a dense Hermitian matrix.

    Parameters
    ----------
    A : array of shape (n, n)
        Hermitian positive semidefinite, definite where `damping` is 0. It is not written to.
    p : int
        At least 1.
    method : {"auto", "newton", "eigen"}
        As for `sqrt`.
    damping : float, default 0.0
        Added to every eigenvalue; eigenvalues that rounding made negative count as 0 first. The result is
        positive definite wherever `info.converged`: rounded to the dtype of A, too.
    check_finite : bool, default True

    Returns
    -------
    RootResult
        `X` (n, n), `info`; `info.residual` is ``|X^p (A + damping I) - I|_F / sqrt(n)``, A without its
        negative part,
        `info.condition` the condition number of A + damping I (an estimate where `info.method` is "newton").

    Raises
    ------
    InputError
        A is not square, not Hermitian or no array, p or damping out of range, or the result beyond the range
        of the dtype of A.
    NonFiniteError
        A holds NaN or Inf.
    BreakdownError
        A has a negative eigenvalue beyond rounding, or none is positive without damping.

    Warns
    -----
    ConvergenceWarning
        The residual exceeds 1e-6: A + damping I is too close to singular for float64. Or the rounding of X
        to the dtype of A exceeds its least eigenvalue, so that X need not be definite.

    Notes
    -----
    *Algorithm*: eigenvectors, or the coupled Newton iteration ``X <- X T, M <- T^p M`` with
    ``T = ((p + 1) I - M) / p`` (Guo and Higham, 2006), where the eigenvalues of M are stretched before each
    step so that the smallest grow fastest. Worked in float64 for input of any precision.

    *Cost*: about 10 n^3 flops by eigenvectors; 2 n^3 (2 + log2 p) for each of 10 to 20 steps by products.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.matrix_functions import inverse_root
    >>> inverse_root(np.diag([16.0, 81.0]), 4).X.diagonal().round(12)
    array([0.5       , 0.33333333])
    """
    p = validate.integer(p, name="p", low=1)
    damping = validate.real(damping, name="damping", low=0.0)
    held = _begin(A, method, check_finite, even=False, least=damping)
    shift = math.ldexp(damping, -held.exponent)
    n = len(held.A)

    def residual(X: Array, A: Array) -> float:
        error = dense.gemm(newton.power(X, p), A + shift * np.eye(n)) - np.eye(n)
        return frobenius(error) / math.sqrt(max(1, n))

    def eigen() -> tuple[Array, float, Array]:
        w, V, A = _eigenvalues(held, shift, semidefinite=False)
        return _from_eigen(w ** (-1.0 / p), V), _condition(w), A

    def iterate() -> tuple[Array, newton.Newton]:
        A = held.A + shift * np.eye(n)
        run = newton.coupled_newton(A, p, *_interval(A))
        return run.X, run

    # 2^-e A has the root 2^(e/p) A^(-1/p): exact where p divides e.
    whole, rest = divmod(-held.exponent, p)
    return _solve(held, eigen, iterate, residual, whole, 2.0 ** (rest / p), p)


@dataclass(frozen=True)
class _Held:
    """2^-exponent times the matrix, in float64 (complex128)."""

    A: Array
    exponent: int
    method: str
    dtype: np.dtype[Any]
    kind: namespace.Kind


def _begin(A: Any, method: Any, check_finite: Any, *, even: bool, least: float = 0.0) -> _Held:
    # In units where neither the entries nor `least` exceed 1.
    validate.choice(method, METHODS, name="method")
    check_finite = validate.flag(check_finite, name="check_finite")
    given = validate.as_matrix(dense_entries(A))
    n = given.shape[0]
    if given.shape[1] != n:
        raise InputError(f"A: expected a square matrix, got shape {given.shape}")
    largest = largest_magnitude(given)
    # The eigenvalues of a matrix with an infinity never come, and the units tell of one in any case.
    if check_finite or not math.isfinite(largest):
        validate.require_finite(given)
    if not is_hermitian(given):
        raise InputError("A: expected a Hermitian matrix; (A + A.conj().T) / 2 is one")
    exponent = exponent_of(max(largest, least))
    exponent += exponent % 2 if even else 0
    wide = given.astype(np.complex128 if given.dtype.kind == "c" else np.float64)
    if wide.dtype.kind == "c":
        wide = np.ldexp(wide.real, -exponent) + 1j * np.ldexp(wide.imag, -exponent)
    else:
        wide = np.ldexp(wide, -exponent)
    return _Held(
        (wide + wide.conj().T) / 2,
        exponent,
        "eigen" if method == "auto" else method,
        given.dtype,
        namespace.kind_of(A),
    )


def _solve(
    held: _Held,
    eigen: Callable[[], tuple[Array, float, Array]],
    iterate: Callable[[], tuple[Array, newton.Newton]],
    residual: Callable[[Array, Array], float],
    exponent: int,
    factor: float = 1.0,
    p: int | None = None,
) -> RootResult:
    """Newton's iteration where it was asked for and works, else eigenvectors; p of an inverse root."""
    path, steps, X, condition = "eigen", None, None, None
    left = math.inf
    if held.method == "newton" and len(held.A):
        path = "newton, eigen"
        try:
            candidate, run = iterate()
        except BreakdownError:
            pass  # not definite: eigenvectors tell by how much
        else:
            steps, left = run.steps, residual(candidate, held.A) if run.converged else math.inf
            if left <= ACCEPTED_NEWTON:
                X, path, condition = candidate, "newton", run.condition
    if X is None:
        X, condition, A = eigen()
        left = residual(X, A) if len(held.A) else 0.0
    rounded = _in_units_of(X * factor, exponent, held.dtype)
    complaint = None
    if left > ACCEPTED:
        complaint = (
            f"the root leaves a relative residual of {left:.3g}, the matrix has condition {condition:.3g}"
        )
    elif (
        p is not None
        and condition is not None
        and not _definite_when_rounded(X, condition ** (1 / p), held.dtype)
    ):
        complaint = (
            f"the root has condition {condition ** (1 / p):.3g}: "
            f"rounded to {held.dtype} it need not be positive definite"
        )
    if complaint is not None:
        warn(complaint)
    return RootResult(
        namespace.restore(held.kind, rounded),
        info=Info(
            method="newton" if path == "newton" else "eigen",
            path=path,
            iterations=steps,
            residual=left,
            error_kind="backward",
            condition=condition,
            converged=complaint is None,
        ),
    )


def _definite_when_rounded(X: Array, condition: float, dtype: np.dtype[Any]) -> bool:
    """Whether the rounding of X, at most u |X|_F in the 2-norm, stays below its least eigenvalue."""
    # |X|_2 >= |X|_F / sqrt(n) is not sharp: the largest column is a lower bound, too.
    if not len(X):
        return True
    norm = frobenius(X)
    largest = math.sqrt(float(np.max(np.einsum("ij,ij->j", X.conj(), X).real)))
    return unit_roundoff(dtype) * norm * condition < max(largest, norm / math.sqrt(len(X)))


def _in_units_of(X: Array, exponent: int, dtype: np.dtype[Any]) -> Array:
    """2^exponent X in the dtype of the answer, which only an inverse root can overflow or leave for zero."""
    limits, largest = np.finfo(dtype), largest_magnitude(X)
    size = in_units(largest, exponent)
    if size > float(limits.max) or (largest > 0 and size < float(limits.smallest_subnormal)):
        decimal = math.log10(largest) + exponent * math.log10(2)
        raise InputError(
            f"damping: the root of A + damping I has entries of 1e{decimal:+.0f}, "
            f"outside the range of {dtype}; multiply A and damping by a constant"
        )
    return scale_by_power(X, exponent).astype(dtype)


def _interval(A: Array) -> tuple[float, float]:
    """What holds the eigenvalues of a definite A: by Lanczos with A and its inverse, and slack."""
    factor = qr.small_cholesky(A)
    if factor is None:
        raise BreakdownError("A: expected a positive definite matrix, its Cholesky factorization failed")
    most = extreme_values(lambda X: dense.gemm(A, X), len(A), A.dtype)[1]
    flipped = reversed_adjoint(factor)
    inner = extreme_values(lambda X: solve_cholesky(factor, flipped, X), len(A), A.dtype)[1]
    # |A|_1 is a bound, the largest Ritz value enlarged nearly always is.
    return 1 / (1.1 * inner), min(float(np.abs(A).sum(axis=0).max()), 1.2 * most)


def _eigenvalues(held: _Held, shift: float, *, semidefinite: bool) -> tuple[Array, Array, Array]:
    """Eigenvalues, shifted, and eigenvectors of the nearest semidefinite matrix, and that matrix."""
    w, V = qr.small_eigh(held.A)
    size = float(np.abs(w).max(initial=0.0))
    slack = max(1, len(w)) * size * float(np.finfo(real_dtype(held.dtype)).eps)
    least = float(w.min(initial=0.0))
    if least < -slack:
        value = math.ldexp(least, held.exponent)
        raise BreakdownError(f"A: expected a positive semidefinite matrix, got the eigenvalue {value:.6g}")
    # What rounding left below zero is zero.
    A, below = held.A, int(np.count_nonzero(w < 0))
    if below:
        A = A - dense.gemm(V[:, :below] * w[:below], V[:, :below].conj().T)
    w = np.maximum(w, 0.0) + shift
    if not semidefinite and w.size and w[0] <= 0:
        raise BreakdownError("A: singular to rounding, expected a positive definite matrix or a damping > 0")
    return w, V, A


def _from_eigen(values: Array, V: Array) -> Array:
    half = V * np.sqrt(values)
    X = dense.gemm(half, half.conj().T)
    return (X + X.conj().T) / 2  # a complex product need not be Hermitian to the bit


def _condition(w: Array) -> float:
    if not w.size:
        return 1.0
    return float(w[-1] / w[0]) if w[0] > 0 else math.inf
