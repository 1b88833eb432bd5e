# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Orthonormal times small, to a fixed precision."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.results import Info, QBResult

from . import adaptive, error, farpca, pass_efficient, plan
from .adaptive import BLOCK, QB, Goal, norm_below
from .basis import orthonormalize
from .call import (
    Call,
    account,
    begin,
    no_worse_than_zero,
    numerical_rank,
    undefined_info,
    unless_undefined,
)
from .factor import widen
from .residual import require_exact, sharpen
from .scaling import Array, fix_signs, in_units, scale_by_power

GROW = {"ei": adaptive.grow, "pass_efficient": pass_efficient.grow, "farpca": farpca.grow}


def qb(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    norm: str = "fro",
    block: int = 32,
    power_iters: int | str = "auto",
    method: str = "auto",
    certificate: str = "auto",
    failure_probability: float | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> QBResult:
    """A ~ Q B with orthonormal Q, grown block by block until a certified error is below `tol`.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
        As in `svd`; row streams are read once a pass.
    rank : int, optional
        Columns k of Q; with `tol`, the most allowed.
    tol : float, optional
        Relative error in `norm` to certify. As few columns as meet it are kept, cut one by one from the end.
    norm : {"fro", "spectral"}
        Norm of `tol` and of the error estimate.
    block : int, default 32
        Columns appended at once; later blocks are a quarter of the basis, if that is more.
    power_iters : int or "auto"
        Multiplications of every block by A A^H, deflated; "auto" is 1, or 0 for "pass_efficient".
    method : {"auto", "ei", "pass_efficient", "farpca"}
        "ei" multiplies A by each block. "pass_efficient" multiplies it by many columns at once, and A^H by
        the product: a pass over A for all of them where it is a stream, two elsewhere. "farpca" works by
        products and Gram matrices alone. These two square the singular values and stop near
        sqrt(u) ||A||. "auto" is "ei", and "pass_efficient" of a stream unless `tol` is below 100 sqrt(u).
        All of them take `tol`.
    certificate : {"auto", "probe", "exact"}
        "exact" is ||A||_F^2 - ||B||_F^2 where that is good to 1 % ("ei") and the norm of A - Q B itself
        elsewhere, which takes one more pass over an array or a stream. "auto" in the Frobenius norm is
        the same above a relative error of sqrt(400 u) (2.1e-7 in float64, 4.9e-3 in float32), and ten
        Gaussian probes of A - Q B below, for sparse matrices where squares cancel, and for operators.
    failure_probability, rng, check_finite, max_memory, callback
        As in `svd`.

    Returns
    -------
    QBResult
        Q (m, k) with the entry of largest magnitude of each column positive, B (k, n), `info`.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        A holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        The certified error exceeds `tol`; ``info.converged`` is False.

    Notes
    -----
    *Algorithm*: randQB_EI ("ei") and randQB_FP ("pass_efficient") of Yu, Gu and Li (2018), who continue
    Algorithm 4.2 of Halko, Martinsson and Tropp (2011), and farPCA of Feng and Yu (2023). B = Q^H A to
    rounding in "ei"; in the others up to what the certificate says.

    *Cost*: 2q + 2 products of 2 m n k flops and O((m + n) k^2) more; memory O((m + n) k).

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.vander(np.linspace(0, 1, 300), 60)
    >>> Q, B = randnla.qb(A, tol=1e-6, rng=0)
    >>> bool(np.linalg.norm(A - Q @ B) <= 1e-6 * np.linalg.norm(A)), Q.shape[1] < 20
    (True, True)
    """
    validate.choice(method, plan.QB_METHODS, name="method")
    validate.choice(certificate, ("auto", "probe", "exact"), name="certificate")
    call = begin(
        A,
        rank,
        tol,
        norm=norm,
        power_iters=power_iters,
        certificate=certificate,
        failure_probability=failure_probability,
        block=validate.integer(block, name="block", low=1),
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
    )
    Q, B, info = unless_undefined(call, lambda: _decompose(call, method), _undefined)
    return QBResult(*namespace.restore_all(call.kind, Q, B), info=info)


def _decompose(call: Call, method: str) -> tuple[Array, Array, Info]:
    problem = call.problem
    cap = call.limit if call.rank is None else call.rank
    if method == "auto":
        method = plan.choose_qb(problem.dtype, call.tol, problem.kind)
    require_exact(call, method)
    q = (0 if method == "pass_efficient" else 1) if call.power_iters is None else call.power_iters
    failure = error.DEFAULT_FAILURE[call.norm] if call.failure is None else call.failure
    goal = Goal(call.tol or 0.0, call.norm, cap, q, failure, 1.0, call.certificate, call.block or BLOCK)
    state = GROW[method if cap else "ei"](problem, goal)
    sharpen(call, state)
    k, estimate, converged = _cut(call, state, cap)
    relative = error.quotient(estimate, norm_below(state, call.norm))
    if method == "ei":  # B = Q^H A to rounding
        estimate, relative = no_worse_than_zero(call, estimate, relative, state.norm, k)
    certificate = error.Certificate(
        in_units(estimate, state.exponent), state.bound.source, state.bound.failure_probability
    )
    Q, Bh = np.array(state.Q[:, :k]), np.array(state.Bh[:, :k])
    fix_signs(Q, Bh)
    found = numerical_rank(call, error.column_norms(state.Bh), k)
    info = account(call, certificate, relative, method=method, rank=found, converged=converged)
    with np.errstate(over="ignore"):
        return Q, scale_by_power(Bh.conj().T, state.exponent), info


def _cut(call: Call, state: QB, cap: int) -> tuple[int, float, bool]:
    """The fewest leading columns that meet the tolerance, their error, and whether there are any."""
    core = widen(orthonormalize(call.problem, state.Bh)[1])

    def error_of(k: int) -> float:
        return float(state.beside(error.prefix_error(core, k, call.norm)))

    most = min(cap, state.Q.shape[1])
    if call.tol is None:
        return most, error_of(most), True
    target = call.tol * norm_below(state, call.norm)
    k = bisect_left(range(most + 1), True, key=lambda k: error_of(k) <= target)
    return min(k, most), error_of(min(k, most)), k <= most


def _undefined(call: Call) -> tuple[Array, Array, Info]:
    m, n = call.problem.shape
    k = 0 if call.rank is None else call.rank
    Q, B = (np.full(shape, np.nan, call.problem.dtype) for shape in ((m, k), (k, n)))
    return Q, B, undefined_info(call)
