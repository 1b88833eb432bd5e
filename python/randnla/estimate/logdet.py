# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The logarithm of the determinant of a positive definite matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, qr
from randnla._backend.results import Estimate
from randnla.lowrank.factor import require_symmetry
from randnla.lowrank.scaling import Array, normalize, unit_roundoff
from randnla.operators import Dense, Sparse

from .call import Call, account, begin, choose_probes
from .controls import controls_of
from .quadrature import Product
from .spectral_sum import Plan, make_plan, nystrom_start, spectral_sum, symmetric_product

CHOLESKY_ORDER = 8000
"""Up to this order a dense matrix is factored: 256 samples of 14 steps, which three digits of the determinant
of a grid took, are as many operations at n = 21000, and it gives all digits."""

SPARSE_ORDER = 2000
"""Up to this order a sparse matrix is written out and factored: at n = 3000 sampling three digits of a grid
took half as long as that, with costs that grow like n against n^3."""

RANK = 32


def logdet(
    A: Any,
    *,
    method: str = "auto",
    tol: float | None = None,
    budget: int | None = None,
    rank: int | None = None,
    samples: int = 16,
    steps: int | None = None,
    probes: str = "auto",
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """Logarithm of the determinant of a positive definite matrix, with a standard error.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (n, n)
        Hermitian positive definite.
    method : {"auto", "cholesky", "slq", "nystrom"}
        "cholesky" factors an array or, written out, a sparse matrix, exactly. "slq" is stochastic Lanczos
        quadrature. "nystrom" samples what a Nystrom approximation leaves of it: fewer samples and steps where
        eigenvalues decay. "auto" takes the closed form of an operator that has one, "cholesky" for arrays of
        order at most 8000 and sparse matrices of order at most 2000, "slq" for larger sparse ones, whose
        spectra seldom decay fast, and "nystrom" for everything else; `info.path` says which.
    tol : float, optional
        Standard error over the magnitude of the estimate: samples are doubled until it is met.
    budget : int, optional
        Products with a vector; no further samples once half of it is spent.
    rank : int, optional
        Of the Nystrom approximation; min(n, 32) by default.
    samples, steps, probes, rng, check_finite, max_memory, callback
        As in `trace_function`.

    Returns
    -------
    Estimate
        `value`, `std_error`, `info`.

    Raises
    ------
    InputError
        A is not Hermitian, or "cholesky" is asked of what has no entries.
    NonFiniteError
        A holds NaN or Inf.
    BreakdownError
        A is not positive definite as far as can be seen: a pivot or a Ritz value is not positive.

    Warns
    -----
    ConvergenceWarning
        The standard error exceeds `tol` when the samples are spent.

    Notes
    -----
    *Algorithm*: stochastic Lanczos quadrature (Ubaru, Chen and Saad, 2017), of "slq" with the control
    variates of `trace_function`. With the preconditioner ``M = V diag(w) V^H + w_r (I - V V^H)`` of a
    Nystrom approximation, log det A = log det M +
    tr log(M^-1/2 A M^-1/2), of which the second is small and sampled (Wenger, Pleiss, Hennig, Cunningham and
    Gardner, 2022).

    *Error*: the samples' standard error, and what the last few steps moved the quadratures by; of
    "cholesky", rounding.

    *Cost*: n^3 / 3 flops by Cholesky, else a product with `samples` columns a step.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> d = np.linspace(1.0, 4.0, 40)
    >>> L = randnla.KroneckerSum(np.diag(d), np.diag(d))
    >>> found = randnla.logdet(L, method="slq", rng=0)
    >>> bool(abs(found.value - L.logdet()) < 5 * found.std_error + 1e-9)
    True
    """
    validate.choice(method, ("auto", "cholesky", "slq", "nystrom"), name="method")
    call = begin(
        A,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        tol=tol,
        budget=budget,
    )
    choose_probes(call, probes, "auto", "sign")
    plan = make_plan(samples, steps, call.n)
    order = call.n
    wanted = min(order, RANK) if rank is None else validate.rank(rank, order)
    op: Any = call.problem.op
    op.require_finite(name="A")
    entries = isinstance(op, (Dense, Sparse))
    if method == "cholesky" and not entries:
        raise InputError(f"method: 'cholesky' needs an array or a sparse matrix, got a {type(op).__name__}")
    if order == 0:
        return _exact(call, 0.0, 0.0, "empty")
    limit = CHOLESKY_ORDER if isinstance(op, Dense) else SPARSE_ORDER
    if method == "cholesky" or (method == "auto" and entries and order <= limit):
        kind = "an array" if isinstance(op, Dense) else "a sparse matrix"
        call.problem.path.append("cholesky" if method != "auto" else f"cholesky: {kind}, n <= {limit}")
        return _exact(call, *_by_cholesky(op.array if isinstance(op, Dense) else op.to_dense()), "cholesky")
    if method == "auto":
        closed = _closed_form(op)
        if closed is not None:
            call.problem.path.append("closed form")
            return _exact(call, closed, unit_roundoff(op.dtype) * abs(closed), "closed form")
        method = "slq" if isinstance(op, Sparse) else "nystrom"
        call.problem.path.append(f"{method}: {type(op).__name__}")
    value, error, size = _sampled(call, plan, wanted if method == "nystrom" else 0)
    info = account(call, method=method, samples=size, error=error, size=abs(value))
    return Estimate(value, error, info=info.replace(error_kind="trace"))


def _exact(call: Call, value: float, error: float, method: str) -> Estimate:
    info = account(call, method=method, samples=None, error=error, size=abs(value))
    return Estimate(value, error, info=info.replace(error_kind="trace"))


def _closed_form(op: Any) -> float | None:
    if not hasattr(op, "logdet"):
        return None
    try:
        return float(op.logdet())
    except InputError:
        return None  # of its kind, but without a closed form


def _by_cholesky(array: Array) -> tuple[float, float]:
    """The value and its rounding, in the precision of the array."""
    n = len(array)
    A = np.array(array)
    exponent = normalize(A)
    require_symmetry(A, unit_roundoff(A.dtype))
    C = qr.small_cholesky(A)
    d = np.diagonal(C).real.astype(np.float64) if C is not None else np.zeros(n)
    if float(d.min()) ** 2 <= 2 * n * unit_roundoff(A.dtype) * float(d.max()) ** 2:
        raise BreakdownError(
            "A: expected a positive definite matrix; an eigenvalue is not positive, or zero to rounding: its "
            "Cholesky factorization breaks down"
        )
    value = 2 * float(np.log(d).sum()) + n * exponent * math.log(2)
    # The factor is that of a matrix n u away: the logarithm moves by that times the condition number.
    steep = float((d.max() / d.min()) ** 2)
    return value, unit_roundoff(A.dtype) * (math.sqrt(n) * steep + abs(value))


def _log(nodes: Array) -> Array:
    least = float(nodes.min())
    if least <= 0:
        raise BreakdownError(
            f"A: expected a positive definite matrix; a Ritz value of {least:.3g} times its size shows an "
            "eigenvalue that is not positive"
        )
    return np.asarray(np.log(nodes))


def _sampled(call: Call, plan: Plan, rank: int) -> tuple[float, float, int]:
    product = symmetric_product(call)
    product(call.vectors(0, 2))  # finds the unit, and a matrix that is not Hermitian
    shift = call.n * (call.exponent or 0) * math.log(2)
    if not rank:
        return spectral_sum(call, product, _log, plan, known=shift, controls=controls_of(call, plan.samples))
    w, V = nystrom_start(call, rank)
    if not w.size:
        raise BreakdownError("A: expected a positive definite matrix; every eigenvalue seen is zero")
    known = shift + float(np.log(w).sum()) + (call.n - w.size) * math.log(w[-1])
    return spectral_sum(call, preconditioned(product, w, V), _log, plan, known=known)


def preconditioned(product: Product, w: Array, V: Array) -> Product:
    """``M^-1/2 A M^-1/2`` for ``M = V diag(w) V^H + w_r (I - V V^H)``, w_r the least of w."""
    rest = float(w[-1]) ** -0.5
    change = (w**-0.5 - rest).astype(V.real.dtype)[:, None]

    def half(X: Array) -> Array:
        scaled: Array = X * X.real.dtype.type(rest)
        return scaled + dense.gemm(V, change * dense.gemm(V.conj().T, X))

    return lambda X: half(product(half(X)))
