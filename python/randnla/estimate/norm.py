# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Norms of a matrix from its products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import qr
from randnla._backend.results import Estimate
from randnla.lowrank.error import inner_products, probe_bound, rounding_floor
from randnla.lowrank.krylov import sample_krylov
from randnla.lowrank.scaling import Array, in_units, normalize, unit_roundoff
from randnla.lowrank.svd import svd
from randnla.operators import Dense

from .call import Call, account, begin, choose_probes, identity_blocks, mean_and_error
from .spectral_sum import Plan, make_plan, spectral_sum
from .trace import relative, sample
from .xnystrom import XNysTrace

DENSE_SIDE = 1000
"""Up to this shorter side all singular values of an array are computed."""

BLOCK = 8
"""Vectors that a Krylov space begins with."""


def norm(
    A: Any,
    ord: int | str = 2,
    *,
    p: float | None = None,
    tol: float | None = None,
    budget: int | None = None,
    rank: int | None = None,
    samples: int = 16,
    failure_probability: float = 1e-10,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """Norm of a matrix that is known by its products.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (m, n)
    ord : {2, "fro", "nuc", "schatten"}
        The largest singular value; the root of the sum of squares; the sum of the singular values; with
        `p`, the p-th root of the sum of their p-th powers.
    p : float, optional
        Of "schatten", at least 1.
    tol : float, optional
        Of ord=2 the certified relative gap, .01 by default; else the standard error over the estimate, for
        which samples are doubled.
    budget : int, optional
        Of "fro": products of A and its adjoint with a vector, 100 by default; from 2 n on it is exact.
    rank : int, optional
        Of "nuc" and "schatten": leading singular vectors whose part is computed apart, min(m, n, 16).
    samples : int, default 16
        Of "nuc" and "schatten": test vectors to begin with.
    failure_probability : float, default 1e-10
        Of ord=2: that the norm lies above the certified interval.
    rng, check_finite, max_memory, callback
        As in `trace`.

    Returns
    -------
    Estimate
        `value`, `std_error`, `info`. For ord=2 `value` is a lower bound but for rounding, typically far
        closer than can be certified, and `std_error` is the length of an interval above it that holds the
        norm but for `info.failure_probability`.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        A holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        A `tol` that was asked for is not reached.

    Notes
    -----
    *Algorithm*: ord=2 by block Krylov iteration (Musco and Musco, 2015) of a depth that makes the bound of
    Kuczynski and Wozniakowski (1992) for Lanczos from a random vector, raised to the power of the block, as
    small as the failure probability: with q + 1 blocks of b columns, 1 - (value / norm)^2 > eps has a
    probability below (1.648 n^1/2 exp(-(2q + 1) eps^1/2))^b, whatever the spectrum. Probes of what the basis
    misses bound the norm, too; the better of the two counts. "fro" is exact where entries are at hand, else
    XNysTrace of A^H A. "nuc" and "schatten" are computed from all singular values of arrays with a side of
    at most 1000, else by stochastic Lanczos quadrature of (A^H A)^(p/2).

    *Cost*: ord=2: 2 b (q + 1) products, q + 1 of about 15 for the default; "fro": the budget; "nuc": 2
    products with `samples` + `rank` columns a step.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.diag(np.arange(1.0, 301.0))
    >>> value, gap = randnla.norm(A, rng=0)
    >>> bool(abs(value - 300) < 1e-3), gap <= 0.01 * 300
    (True, True)
    >>> round(randnla.norm(A, "nuc").value)
    45150
    """
    if isinstance(ord, (bool, np.bool_)) or ord not in (2, "fro", "nuc", "schatten"):
        raise InputError(f"ord: expected 2, 'fro', 'nuc' or 'schatten', got {validate.shown(ord)}")
    power = _power(ord, p)
    failure = validate.tolerance(failure_probability, name="failure_probability")
    call = begin(
        A,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        tol=tol,
        budget=budget,
        square=False,
    )
    limit = min(call.problem.shape)
    wanted = min(limit, 16) if rank is None else validate.rank(rank, limit)
    plan = make_plan(samples, None, max(1, limit))
    if call.problem.shape[0] < call.problem.shape[1]:
        call.problem.op = call.problem.op.H  # of the same norm; test vectors are of the shorter side
    call.problem.op.require_finite(name="A")
    if limit == 0:
        return _finish(call, 0.0, 0.0, "empty")
    if ord == 2:
        return _spectral(call, failure)
    if ord == "fro":
        return _frobenius(call)
    return _schatten(call, power, wanted, plan)


def _power(ord: Any, p: Any) -> float:
    if ord == "schatten":
        if p is None:
            raise InputError("p: expected a number >= 1 with ord='schatten', got None")
        return validate.real(p, name="p", low=1.0)
    if p is not None:
        raise InputError(f"p: belongs to ord='schatten', got ord={ord!r}")
    return 1.0


def _finish(
    call: Call, value: float, error: float, method: str, samples: int | None = None, kind: str | None = None
) -> Estimate:
    info = account(call, method=method, samples=samples, error=error, size=value)
    return Estimate(value, error, info=info.replace(error_kind=kind))


def krylov_depth(n: int, block: int, tol: float, failure: float, *, complex_: bool = False) -> int:
    """The least q with (1.648 n^1/2 exp(-(2q + 1) eps^1/2))^block <= failure, (1 - eps)^-1/2 = 1 + tol.

    A complex vector has at least half of its square in its real or its imaginary part: n counts twice.
    """
    eps = 1 - (1 + tol) ** -2
    log = math.log(1.648 * math.sqrt(2 * n if complex_ else n)) - math.log(failure) / block
    return max(0, math.ceil((log / math.sqrt(eps) - 1) / 2))


def krylov_gap(n: int, block: int, depth: int, failure: float, *, complex_: bool = False) -> float:
    """The relative gap above a value of this depth, `krylov_depth` read the other way; inf for no bound."""
    log = math.log(1.648 * math.sqrt(2 * n if complex_ else n)) - math.log(failure) / block
    eps = (log / (2 * depth + 1)) ** 2
    return math.inf if eps >= 1 else (1 - eps) ** -0.5 - 1


def singular_values(B: Array) -> Array:
    """Of a tall matrix, descending, in float64."""
    tall = not np.iscomplexobj(B) and B.shape[1] < B.shape[0]
    s = qr.small_svd(qr.tsqr(B, with_q=False)[1] if tall else B)[1]
    return np.asarray(s, dtype=np.float64)


def scaled_values(array: Array) -> tuple[Array, int]:
    """All singular values of an array in units of a power of two, so that denormal ones keep their bits."""
    A = np.array(array)
    exponent = normalize(A)
    return np.asarray(qr.small_svd(A)[1], dtype=np.float64), exponent


def _spectral(call: Call, failure: float) -> Estimate:
    problem = call.problem
    n, complex_ = problem.shape[1], problem.dtype.kind == "c"
    block = min(n, BLOCK)
    depth = krylov_depth(n, block, call.tol or 0.01, failure / 2, complex_=complex_)
    depth = min(depth, max(0, -(-n // block) - 1))
    found, Bh = sample_krylov(problem, min(n, block * (depth + 1)), block, depth)
    s = singular_values(Bh)
    value = float(s[0]) if s.size else 0.0
    residual = found.probes - found.Q @ (found.Q.conj().T @ found.probes)
    missed = probe_bound(residual, "spectral", failure / 2)[0]
    floor = rounding_floor(float(np.linalg.norm(s)), problem.dtype, s.size)
    gap = min(
        math.hypot(value, missed) - value,
        value * krylov_gap(n, block, depth, failure / 2, complex_=complex_),
    )
    result = _finish(
        call,
        in_units(value, found.exponent),
        in_units(gap + floor, found.exponent),
        "krylov",
        kind="spectral",
    )
    info = result.info.replace(failure_probability=failure, certificate="krylov", iterations=depth + 1)
    return Estimate(result.value, result.std_error, info=info)


class GramTrace(XNysTrace):
    """XNysTrace of A^H A, in squares of the units of the call."""

    cost = 2

    def multiply(self, X: Array) -> Array:
        """``A^H A X``."""
        return self.call.adjoint(self.call.forward(X))


def _frobenius(call: Call) -> Estimate:
    known = call.problem.op.frobenius_norm()
    if known is not None and math.isfinite(known):
        call.problem.path.append("entries at hand")
        return _finish(call, known, unit_roundoff(call.problem.dtype) * known, "entries", kind="frobenius")
    choose_probes(call, "gaussian", True, "gaussian")
    asked, call.tol = call.tol, None if call.tol is None else 2 * call.tol  # of the square
    estimator = GramTrace(call)
    found = sample(call, estimator, lambda s, r: mean_and_error(s, r, estimator.caution), relative)
    call.tol = asked
    if found is None:
        squares = 0.0
        for _, columns in identity_blocks(call.n, call.problem.dtype):
            Y = call.forward(columns)
            squares += float(inner_products(Y, Y).real.sum())
        found, method, size = (squares, 4 * unit_roundoff(call.problem.dtype) * squares), "exact", None
    else:
        method, size = "xnystrace", estimator.size
    value, error = _root(found[0], found[1], 2.0)
    return _finish(call, call.value(value), call.value(error), method, size, "frobenius")


def _root(total: float, error: float, power: float) -> tuple[float, float]:
    """The root of an estimated sum, and its standard error to first order."""
    if total <= 0:
        return 0.0, max(error, 0.0) ** (1 / power)
    return total ** (1 / power), error / power * total ** (1 / power - 1)


def _schatten(call: Call, power: float, rank: int, plan: Plan) -> Estimate:
    op = call.problem.op
    if isinstance(op, Dense) and call.n <= DENSE_SIDE:
        call.problem.path.append(f"all singular values: an array with a side of at most {DENSE_SIDE}")
        s, exponent = scaled_values(op.array)
        value = in_units(float((s**power).sum()) ** (1 / power), exponent)
        return _finish(call, value, unit_roundoff(op.dtype) * math.sqrt(call.n) * value, "svd")
    choose_probes(call, "gaussian", True, "gaussian")
    call.forward(call.vectors(0, 2))  # finds the unit

    def product(X: Array) -> Array:
        return call.adjoint(call.forward(X))

    def summand(nodes: Array) -> Array:
        return np.maximum(nodes, 0.0) ** (power / 2)

    basis = svd(op, rank, rng=call.problem.seed).Vh.conj().T if rank else None
    asked, call.tol = call.tol, None if call.tol is None else call.tol * power
    total, error, size = spectral_sum(call, product, summand, plan, basis=basis)
    call.tol = asked
    if not math.isfinite(total):
        raise BreakdownError("A: the sum of powers of its singular values leaves the range of float64")
    value, error = _root(total, error, power)
    return _finish(call, call.value(value), call.value(error), "slq", size)
