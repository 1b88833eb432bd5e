# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""``tr f(A)`` by stochastic Lanczos quadrature: Ubaru, Chen and Saad (2017), with a known part taken out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense
from randnla._backend.results import Estimate
from randnla.lowrank.error import column_norms
from randnla.lowrank.nystrom import nystrom
from randnla.lowrank.range_finder import range_finder
from randnla.lowrank.scaling import Array, unit_roundoff

from .call import Call, account, begin, choose_probes, require_hermitian, spread_of_mean
from .controls import Controls, controls_of
from .quadrature import Product, Quadrature
from .scalar import evaluate, resolve

Summand = Callable[[Array], Array]
MAX_STEPS = 300


@dataclass
class Sums:
    """Estimates ``x^H f(A) x`` for vectors x, and what the last steps of each quadrature moved them."""

    values: Array = field(default_factory=lambda: np.zeros(0))
    moved: Array = field(default_factory=lambda: np.zeros(0))
    steps: int = 0

    def add(self, values: Array, moved: Array, steps: int) -> None:
        """More vectors."""
        self.values = np.concatenate([self.values, values])
        self.moved = np.concatenate([self.moved, moved])
        self.steps = max(self.steps, steps)


def quadratic_forms(
    product: Product,
    X: Array,
    f: Summand,
    *,
    limit: int,
    share: float,
    floor: float = 0.0,
    controls: Controls | None = None,
) -> tuple[Array, Array, int]:
    """``x_j^H f(A) x_j`` of the columns, by as many steps as it takes, less what `controls` know of it.

    Steps end where the last few moved the mean by less than `share` of its standard error over the columns,
    or `floor` of itself, or where they meet the `limit`.
    """
    lengths = column_norms(X)
    unit = X / np.where(lengths > 0, lengths, 1.0).astype(X.real.dtype)
    run = Quadrature(product, unit)
    before: Array | None = None
    last, k = 0, lengths.size
    while True:
        run.step()
        if run.steps - last < max(3, run.steps // 8) and run.steps < limit and not run.done.all():
            continue
        nodes, weights = run.rule()
        values = f(nodes)
        now = lengths**2 * (weights * values).sum(axis=1)
        if controls is not None:
            controls.fit(nodes, weights, values)
            now = controls.correct(now, lengths**2 * run.moments())
        moved = np.full(k, math.inf) if before is None else np.abs(now - before)
        before, last = now, run.steps
        if run.done.all():
            return now, np.zeros(k), run.steps
        spread = float(spread_of_mean(now))
        goal = max(share * spread, floor * abs(float(now.mean())), 1e-14 * abs(float(now.mean())))
        if float(moved.mean()) <= goal or run.steps >= limit:
            return now, np.where(np.isfinite(moved), moved, np.abs(now)), run.steps


@dataclass(frozen=True)
class Plan:
    """How a sum is sampled: vectors to begin with, at most, and the limit of steps."""

    samples: int
    most: int
    steps: int


def spectral_sum(
    call: Call,
    product: Product,
    f: Summand,
    plan: Plan,
    *,
    basis: Array | None = None,
    known: float = 0.0,
    controls: Controls | None = None,
) -> tuple[float, float, int]:
    """``known + tr f(A)``, its standard error, and the number of samples; doubles them until `tol` is met.

    With `controls` only what a quadratic in A leaves of f is sampled. With an orthonormal `basis` V the sum
    is ``tr(V^H f(A) V)`` by quadrature from its columns, and samples of the complement, Gaussian ones scaled
    to its dimension.
    """
    n, rank = call.n, 0 if basis is None else basis.shape[1]
    fixed = moved_fixed = 0.0
    if basis is not None and rank:
        values, moved, _ = quadratic_forms(product, basis, f, limit=plan.steps, share=0.0, floor=1e-12)
        fixed, moved_fixed = float(values.sum()), float(moved.sum())
    if rank >= n:
        return known + fixed, moved_fixed, 0
    sums, count = Sums(), plan.samples
    while True:
        X = call.vectors(sums.values.size, count)
        if basis is not None and rank:
            for _ in range(2):
                X = X - dense.gemm(basis, dense.gemm(basis.conj().T, X))
        if call.resphere:  # of signs, lengths of projections are part of the estimate
            X = X * (math.sqrt(n - rank) / column_norms(X)).astype(X.real.dtype)
        X = X.astype(call.problem.dtype)
        sums.add(*quadratic_forms(product, X, f, limit=plan.steps, share=0.1, controls=controls))
        taken_out = 0.0
        if controls is not None:
            controls.frozen = True
            taken_out = controls.size
        call.problem.report("samples")
        size = sums.values.size
        spread = float(spread_of_mean(sums.values))
        value = known + fixed + float(sums.values.mean())
        size_of_terms = abs(fixed) + float(np.abs(sums.values).mean()) + taken_out
        rounding = 8 * unit_roundoff(call.problem.dtype) * size_of_terms
        error = math.hypot(spread, float(sums.moved.mean()) + moved_fixed + rounding)
        spent = call.budget is not None and call.problem.matvecs * 2 > call.budget
        if call.tol is None or error <= call.tol * abs(value) or size >= plan.most or spent:
            return value, error, size
        count = min(size, plan.most - size)


def symmetric_product(call: Call) -> Product:
    """The product of the call, which at first sight of two columns makes sure that A is Hermitian."""
    seen = False

    def product(X: Array) -> Array:
        nonlocal seen
        Y = call.forward(X)
        if not seen and X.shape[1] > 1:
            require_hermitian(X, Y)
            seen = True
        return Y

    return product


def make_plan(samples: Any, steps: Any, n: int) -> Plan:
    """From checked arguments."""
    first = validate.integer(samples, name="samples", low=2)
    # Without reorthogonalization n steps are not the end; three times as many are more than enough.
    limit = max(1, min(3 * n, MAX_STEPS)) if steps is None else validate.integer(steps, name="steps", low=1)
    return Plan(first, max(first, 4096), limit)


def trace_function(
    f: Any,
    A: Any,
    *,
    tol: float | None = None,
    budget: int | None = None,
    rank: int = 0,
    samples: int = 16,
    steps: int | None = None,
    probes: str = "auto",
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """``tr f(A)`` of a Hermitian matrix that is known by its products, with a standard error.

    Parameters
    ----------
    f : callable or {"sqrt", "inverse_sqrt", "log", "exp", "inverse"}
        From an array of real eigenvalues to an array of as many real values.
    A : array, sparse matrix or operator of shape (n, n)
        Hermitian.
    tol : float, optional
        Standard error over the magnitude of the estimate: samples are doubled until it is met.
    budget : int, optional
        Products with a vector; no further samples once half of it is spent.
    rank : int, default 0
        Dimension of a sampled range of A on which the trace is computed, so that only the rest is sampled:
        Hutch++ of f(A). It pays where f(A) is dominated by a few eigenvalues that are large for A, too.
    samples : int, default 16
        Test vectors to begin with.
    steps : int, optional
        Of Lanczos, at most; 300 by default. Fewer are taken where quadrature has converged.
    probes : {"auto", "gaussian", "sign"}
        "auto": signs, Gaussian with `rank`. Lengths of Gaussian vectors are scaled away.
    rng, check_finite, max_memory, callback
        As in `trace`.

    Returns
    -------
    Estimate
        `value`, `std_error`, `info`.

    Raises
    ------
    InputError
        A is not Hermitian, f returns something of another shape or not real.
    NonFiniteError
        A holds NaN or Inf.
    BreakdownError
        f is not finite at a Ritz value.

    Warns
    -----
    ConvergenceWarning
        The standard error exceeds `tol` when the samples are spent.

    Notes
    -----
    *Algorithm*: stochastic Lanczos quadrature (Ubaru, Chen and Saad, 2017), for all test vectors at once and
    without a basis. Where entries or structure of A tell tr A and tr A^2 and `samples` is 8 or more, the
    forms ``x^H A x`` and ``x^H A^2 x`` are control variates: only what a quadratic leaves of f is sampled.
    The part on a sampled range as in Hutch++ (Meyer, Musco, Musco and Woodruff, 2021).

    *Error*: the samples' standard error, what the last few steps moved the quadratures by, and rounding.

    *Cost*: a product with `samples` columns a step, and with `rank` columns; memory of three blocks.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> from randnla.estimate import trace_function
    >>> d = np.linspace(1.0, 4.0, 2000)
    >>> found = trace_function("sqrt", randnla.Diagonal(d), rng=0)
    >>> bool(abs(found.value / np.sqrt(d).sum() - 1) < 1e-3)
    True
    """
    function, name = resolve(f)
    call = begin(
        A,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        tol=tol,
        budget=budget,
    )
    rank = validate.rank(rank, call.n)
    choose_probes(call, probes, "auto", "gaussian" if rank else "sign")
    plan = make_plan(samples, steps, call.n)
    call.problem.op.require_finite(name="A")

    def summand(nodes: Array) -> Array:
        values = evaluate(function, name, np.ldexp(nodes, call.exponent or 0).ravel())
        if np.iscomplexobj(values):
            raise InputError("f: expected real values, got complex ones")
        return values.reshape(nodes.shape)

    if call.n == 0:
        return _result(call, 0.0, 0.0, 0)
    basis = range_finder(call.problem.op, rank, rng=call.problem.seed).Q if rank else None
    product = symmetric_product(call)
    product(call.vectors(0, 2))
    controls = controls_of(call, plan.samples) if basis is None else None
    return _result(call, *spectral_sum(call, product, summand, plan, basis=basis, controls=controls))


def _result(call: Call, value: float, error: float, size: int, method: str = "slq") -> Estimate:
    info = account(call, method=method, samples=size, error=error, size=abs(value))
    return Estimate(value, error, info=info.replace(error_kind="trace"))


def nystrom_start(call: Call, rank: int) -> tuple[Array, Array]:
    """Eigenpairs of a Nystrom approximation that are not zero, eigenvalues in the units of the call."""
    found = nystrom(call.problem.op, rank, rng=call.problem.seed)
    w = np.ldexp(np.asarray(found.w, np.float64), -(call.exponent or 0))
    keep = w > 1e-12 * w[0] if w.size else np.zeros(0, bool)
    call.problem.matvecs += found.info.matvecs or 0
    call.problem.passes += found.info.passes or 0
    return w[keep], found.V[:, keep]
