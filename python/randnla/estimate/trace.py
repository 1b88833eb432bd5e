# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The trace of a square matrix from its products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import Estimate
from randnla.lowrank.scaling import Array, unit_roundoff
from randnla.operators import Sparse

from .call import Call, account, begin, choose_probes, estimate, exact_diagonal, mean_and_error
from .hutchinson import Hutchinson, HutchPlusPlus
from .xnystrom import XNysTrace
from .xtrace import XTrace

METHODS: dict[str, Any] = {
    "xtrace": XTrace,
    "xnystrace": XNysTrace,
    "hutchpp": HutchPlusPlus,
    "hutchinson": Hutchinson,
}
FIRST = 12
"""Vectors that an adaptive call begins with; it doubles their number until `tol` is met."""


def trace(
    A: Any,
    budget: int | None = None,
    *,
    method: str = "xtrace",
    tol: float | None = None,
    probes: str = "auto",
    resphere: bool | str = "auto",
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """Trace of a square matrix that is known by its products, with a standard error.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (n, n)
        Need not be Hermitian; "xnystrace" takes positive semidefinite A.
    budget : int, optional
        Products of A with a vector, at most. 100 by default; with `tol`, as many as it takes. From n on
        the trace is computed from n products, exactly.
    method : {"xtrace", "xnystrace", "hutchpp", "hutchinson", "auto"}
        "auto" adds up the diagonal where its entries are at hand, in an array, a sparse matrix or an operator
        that knows its trace, and is "xtrace" otherwise.
    tol : float, optional
        Standard error over the magnitude of the estimate. The number of vectors is doubled until it is met.
    probes : {"auto", "gaussian", "sign"}
        Kind of test vectors; "auto" is Gaussian for "xtrace" and "xnystrace", signs for the others.
    resphere : bool or "auto"
        Scale the lengths of Gaussian vectors away, which takes the identity part of A exactly. "auto": yes.
    rng : int, Generator or SeedSequence, optional
        ``info.seed`` given back replays the call.
    check_finite : bool, default True
    max_memory : int, optional
        Bytes of workspace of inputs that are read in blocks.
    callback : callable, optional
        Told the stage, passes and matvecs after every round.

    Returns
    -------
    Estimate
        `value`, a float, complex for complex A; `std_error`; `info`.

    Raises
    ------
    InputError
        A is not square, the budget is too small for the method, or an argument does not fit.
    NonFiniteError
        A holds NaN or Inf.
    BreakdownError
        A is far from positive semidefinite, for "xnystrace".

    Warns
    -----
    ConvergenceWarning
        The standard error exceeds `tol` when the budget is spent.

    Notes
    -----
    *Algorithm*: XTrace and XNysTrace (Epperly, Tropp and Webber, 2024), Hutch++ (Meyer, Musco, Musco and
    Woodruff, 2021), Girard (1989) and Hutchinson (1990). All are unbiased for a fixed budget. With singular
    values that decay, XTrace's error falls like their tail and not like the root of the budget; vectors that
    the others make superfluous, of matrices of low rank, are recognized as such.

    *Error*: the samples' standard deviation over the root of their number, with what rounding makes. Samples
    that share their basis are not independent: for XTrace it is 1.5 times that, for XNysTrace 3 times,
    conservative factors from measurements on four spectra. With twelve vectors or more two standard errors
    hold the truth at least nine times in ten there. A `tol` stops where the estimate is small, which makes
    it a little too small.

    *Cost*: budget products; for XTrace another O(n budget^2) flops.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> d = 0.7 ** np.arange(1000)
    >>> found = randnla.trace(randnla.Diagonal(d), 80, rng=0)
    >>> bool(abs(found.value - d.sum()) < 1e-5), found.std_error < 1e-5
    (True, True)
    """
    validate.choice(method, ("auto", *METHODS), name="method")
    call = begin(
        A,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        tol=tol,
        budget=budget,
    )
    if method == "auto":
        known = diagonal_at_hand(call)
        if known is not None:
            value, error = known
            info = account(call, method="entries", samples=None, error=error, size=abs(value))
            return Estimate(value, error, info=info.replace(error_kind="trace"))
        method = "xtrace"
    choose_probes(call, probes, resphere, "gaussian" if method in ("xtrace", "xnystrace") else "sign")
    estimator = METHODS[method](call)
    found = sample(call, estimator, lambda s, r: mean_and_error(s, r, estimator.caution), relative)
    if found is None:
        value, error = exact_trace(call)
        return estimate(call, value, error, method="exact")
    return estimate(call, *found, method=method, samples=estimator.size)


def relative(value: Any, error: Any) -> float:
    """Error over magnitude."""
    return error / abs(value) if value else float(error > 0)


def sample(
    call: Call,
    estimator: Any,
    summarize: Callable[[Array, float], tuple[Any, Any]],
    measure: Callable[[Any, Any], float],
) -> tuple[Any, Any] | None:
    """Grow an estimator within the budget, to the tolerance if any; None where n products are due."""
    n, cost = call.n, estimator.cost
    budget = call.budget if call.budget is not None else (100 if call.tol is None else None)
    if n == 0 or (budget is not None and budget >= n) or n < cost * estimator.least:
        return None
    if budget is not None and budget < cost * estimator.least:
        raise InputError(
            f"budget: expected at least {cost * estimator.least} products or n = {n}, got {budget}"
        )
    cap = (n - 1 if budget is None else min(budget, n - 1)) // cost
    estimator.grow(min(cap, FIRST) if call.tol is not None else cap)
    while True:
        call.problem.report("samples")
        found = summarize(*estimator.samples())
        if call.tol is None or measure(*found) <= call.tol:
            return found
        if estimator.size == cap:
            return None if budget is None else found
        estimator.grow(min(cap - estimator.size, estimator.size))


def exact_trace(call: Call) -> tuple[Any, float]:
    """From n products, in the units of the call, and its rounding."""
    d, call.exponent, lengths = exact_diagonal(call)
    total = d.sum().item()
    return total, unit_roundoff(call.problem.dtype) * float(np.sqrt((lengths**2).sum()))


def diagonal_at_hand(call: Call) -> tuple[Any, float] | None:
    """The trace and its rounding where the operator knows it without products."""
    op: Any = call.problem.op
    op.require_finite(name="A")
    if isinstance(op, Sparse):
        d = op.matrix.diagonal()
        wide = np.complex128 if d.dtype.kind == "c" else np.float64
        value = d.sum(dtype=wide).item()
    elif hasattr(op, "trace"):
        value = op.trace()
    else:
        return None
    call.problem.path.append("diagonal at hand")
    return value, unit_roundoff(np.float64) * abs(value)
