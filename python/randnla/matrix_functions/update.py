# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Square roots and inverse square roots under a low-rank change of the matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError, warn
from randnla._backend.results import Info
from randnla.lowrank.scaling import real_dtype, unit_roundoff
from randnla.operators import LinearOperator, as_operator

from . import update_methods as methods
from .certificate import Call, account, certify, compress, error_before
from .known import known_root
from .problem import Problem, pose
from .update_methods import Solved
from .updated import Change, SqrtUpdate, with_change

METHODS = ("auto", "rational", "exact", "riemannian", "dense")
DENSE_LIMIT = 2000


def sqrt_update_rank(condition: float, r: int, tol: float) -> int:
    """A rank that the change of a root need not exceed for a relative error below `tol` in the 2-norm.

    Parameters
    ----------
    condition : float
        beta / alpha, where [alpha, beta] holds the eigenvalues of the roots before and after the change: the
        square root of the condition number of the matrix where the change does not widen its spectrum.
    r : int
        Rank of the change of the matrix.
    tol : float

    Returns
    -------
    int

    Notes
    -----
    The change X of the root solves ``P X + X P_new = +-Z Z^H``, so that
    ``sigma_(1 + j r)(X) <= 4 exp(-j pi^2 / ln(4 beta / alpha)) |X|`` (Beckermann and Townsend, 2017, on
    Sylvester equations; Shmueli, Drineas and Avron, 2022, section 3).

    Examples
    --------
    >>> from randnla.matrix_functions import sqrt_update_rank
    >>> sqrt_update_rank(100.0, 1, 1e-6)
    10
    """
    condition = validate.real(condition, name="condition", low=1.0)
    r = validate.integer(r, name="r", low=0)
    tol = validate.tolerance(tol)
    return r * max(1, math.ceil(math.log(4 / tol) * math.log(4 * condition) / math.pi**2))


def sqrt_update(
    root: Any,
    Z: Any,
    *,
    sign: int = 1,
    inverse: bool = False,
    rank: int | None = None,
    tol: float | None = None,
    method: str = "auto",
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SqrtUpdate:
    """The root of ``A + sign Z Z^H`` from that of A, as the root of A plus low rank.

    Parameters
    ----------
    root : operator, array or sparse matrix of shape (n, n)
        ``P = A^(1/2)``, or ``P = A^(-1/2)`` with `inverse`: Hermitian positive definite (semidefinite will do
        for `sign=1` without `inverse`). `Diagonal`, `DiagonalPlusLowRank`, `Kronecker`, `KroneckerSum`,
        an earlier `SqrtUpdate`, sparse matrices, arrays, and multiples of these. Others are made dense up to
        n = 1000 and solved with by conjugate gradients above, which serve condition numbers up to 1e5.
    Z : array of shape (n, r) or (n,)
        Of any rank.
    sign : {1, -1}
    inverse : bool, default False
        Whether roots of the inverse are meant, on both sides.
    rank : int, optional
        Of the change of the root, at most.
    tol : float, optional
        Bound of the backward error relative to that of the change (see Notes). The square root of the unit
        roundoff by default: 1e-8, or 2e-4 for float32.
    method : {"auto", "rational", "exact", "riemannian", "dense"}
        "rational": rational Krylov, Galerkin with exact small roots. "exact": for roots that are a multiple
        of the identity plus low rank, or nothing beside Z. "riemannian": trust regions on the manifold of
        fixed rank; for inverse roots, not beside a Z far larger than the matrix. "dense": by all
        eigenvectors, n <= 2000. "auto" is "exact" where it applies, "dense" where rational Krylov would
        need a basis of half the space, else "rational".
    check_finite : bool, default True
    callback : callable, optional
        Called with a dict of `iteration` and `error` (of the kind of `tol`) at each certificate.

    Returns
    -------
    SqrtUpdate
        An operator with `rank`, `info`, `inverse` and `to_dense`; `info.residual` is the certificate.

    Raises
    ------
    InputError
        An argument does not fit; the root is not Hermitian.
    NonFiniteError
        `root` or `Z` holds NaN or Inf.
    BreakdownError
        The root has a negative eigenvalue, or is singular where its inverse is needed; or a downdate leaves
        the cone: lambda_max(Z^H A^-1 Z) >= 1. That is found before anything else is computed.

    Warns
    -----
    ConvergenceWarning
        The backward error exceeds `tol`, with or without a cap on the rank.

    Notes
    -----
    *Certificate*: with P the given root, (P + X)^2 = P^2 + C + R, where C is the change of P^2 (+-Z Z^H, or
    that of the inverse by Woodbury's identity). ``|R|_F`` is computed from factors, exactly but for rounding:
    the result is the root of a matrix that far away. Where the change is that of an inverse, what rounding
    of P Z makes of it is added, to first order: 1e-16 / (1 - lambda_max(Z^H A^-1 Z)) of the result for a
    downdate. Columns far larger than A^1/2 and nearly parallel are reduced by compensated sums. `tol` asks
    for ``|R|_F <= tol min(|C|_F, |P^2 + C|_F)``, or for rounding of P^2 and C where that is more;
    `info.residual` is ``|R|_F / |P^2 + C|_F``. For the plain root of a sum the forward error is then at most
    ``|R| / (2 lambda_min(P))``. Chained updates add up their errors in `info.residual`, those of inverse
    roots times what the change lets them grow by; where the sum exceeds `tol` the root is computed anew from
    the first one with all changes, and `info.path` says "refreshed". Columns that are taken away as they were
    added, to the bit, are no changes: when none is left, the first root is the result.

    *Algorithm*: Shmueli, Drineas and Avron (2022). Only one equation is ever solved, the stable
    ``P X + X P + X^2 = W W^H``, X >= 0, with P or its inverse: minus for the root goes through the inverse
    root, plus for the inverse root through the root, and Woodbury's identity. Where the paper optimizes on a
    manifold ("riemannian"), the default projects on ``span{W, (A + s_1)^-1 W, ...}`` (Beckermann, Cortinovis,
    Kressner and Schweitzer, 2021) with Zolotarev's poles for the root, as many as the decay of singular
    values asks for (`sqrt_update_rank`), and more until the certificate is met. The rank is then the least
    that meets it.

    *Cost*: for j poles, j shifted systems with r right-hand sides, O(n (j r)^2 + (j r)^3); memory n j r.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> d = np.linspace(1.0, 100.0, 2000)
    >>> z = np.random.default_rng(0).standard_normal(2000)
    >>> root = randnla.sqrt_update(randnla.Diagonal(np.sqrt(d)), z)
    >>> x = np.ones(2000)
    >>> bool(np.allclose(root @ (root @ x), d * x + z * (z @ x)))
    True
    >>> root.rank < 12, root.info.converged
    (True, True)
    """
    call = _begin(root, Z, sign, inverse, rank, tol, method, check_finite, callback)
    result = _update(call, refresh=True)
    if not result.info.converged:
        warn(
            f"sqrt_update: the backward error {result.info.error_relative:.3g} of the change (accumulated: "
            f"{result.info.residual:.3g} of the matrix) exceeds tol={call.tol:.3g} at rank {result.rank}"
        )
    return result


def _begin(
    root: Any,
    Z: Any,
    sign: Any,
    inverse: Any,
    rank: Any,
    tol: Any,
    method: Any,
    check_finite: Any,
    callback: Any,
) -> Call:
    check_finite = validate.flag(check_finite, name="check_finite")
    op = as_operator(root, name="root", check_finite=check_finite)
    n = op.shape[0]
    if op.shape[1] != n:
        raise InputError(f"root: expected a square matrix, got shape {op.shape}")
    block = validate.as_array(Z, name="Z", ndim=(1, 2))
    block = block if block.ndim == 2 else block[:, None]
    if block.shape[0] != n:
        raise InputError(f"Z: expected {n} rows as root has, got shape {block.shape}")
    if check_finite:
        op.require_finite(name="root")
    validate.require_finite(block, name="Z")
    if validate.integer(sign, name="sign", low=-1, high=1) == 0:
        raise InputError("sign: expected 1 or -1, got 0")
    validate.choice(method, METHODS, name="method")
    if method == "dense" and n > DENSE_LIMIT:
        raise InputError(f"method: 'dense' is for n <= {DENSE_LIMIT}, got n = {n}")
    dtype = np.result_type(op.dtype, block.dtype)
    return Call(
        op,
        block.astype(dtype, copy=False),
        int(sign),
        validate.flag(inverse, name="inverse"),
        None if rank is None else validate.rank(rank, n),
        math.sqrt(unit_roundoff(dtype)) if tol is None else validate.tolerance(tol),
        tol is not None or rank is None,
        method,
        validate.callback(callback),
    )


def _update(call: Call, *, refresh: bool) -> SqrtUpdate:
    held, previous = call.root, None
    changes: tuple[Change, ...] = ((call.Z, call.sign),)
    if isinstance(held, SqrtUpdate) and held.inverse_root == call.inverse:
        previous, changes = held, with_change(held.changes, call.Z, call.sign)
        if held.changes and not changes:
            return _unchanged(call, held.base)
    known = known_root(held)
    known.dtype = np.result_type(known.dtype, call.Z.dtype)  # real roots take complex changes
    try:
        problem = pose(known, call.Z, call.sign, inverse=call.inverse)
    except BreakdownError:
        # The root held is off by its error: with all changes since the first one the cone may hold.
        if previous is None or not refresh:
            raise
        anew = _refreshed(call, previous.base, changes)
        if anew is None:
            raise
        return anew
    known = problem.known  # in the units of the change where that is far larger
    if problem.rank == 0:
        solved = Solved(np.zeros((known.n, 0), known.dtype), np.zeros(0), 0, "none")
    else:
        method = _choose(call, problem)
        solved = methods.SOLVERS[method](problem, call.tol, call.rank, call.callback)
    Y, d, whole = compress(call, problem, solved, previous)
    dtype = np.result_type(held.dtype, call.Z.dtype)
    Y = np.ascontiguousarray(Y.astype(dtype))
    weights = np.ldexp(d, known.exponent).astype(real_dtype(dtype))
    left, size = certify(problem, Y, np.ldexp(weights.astype(np.float64), -known.exponent), previous)
    before = error_before(problem, previous) if previous is not None else 0.0
    info = account(call, problem, solved, left, size, whole, before, weights.size)
    base = previous.base if previous is not None else held
    if refresh and previous is not None and (info.residual or 0.0) > call.tol:
        anew = _refreshed(call, base, changes)
        if anew is not None and (anew.info.residual or 0.0) < (info.residual or 0.0):
            return anew
    return SqrtUpdate(base, Y, weights, info=info, inverse=call.inverse, changes=changes)


def _choose(call: Call, problem: Problem) -> str:
    """The method that "auto" stands for."""
    if problem.dominates and call.method in ("auto", "rational", "exact"):
        return "exact"
    if call.method == "exact" and problem.frame.range_basis is None:
        raise InputError(
            f"method: 'exact' needs a root that is a multiple of the identity plus low rank, "
            f"got a {type(call.root).__name__}"
        )
    if call.method != "auto":
        return call.method
    n = problem.known.n
    if problem.frame.range_basis is not None:
        return "exact"
    planned = problem.rank * (methods.planned_poles(problem, call.tol) + 1)
    return "dense" if 2 * planned >= n and n <= DENSE_LIMIT else "rational"


def _refreshed(call: Call, base: LinearOperator, changes: tuple[Change, ...]) -> SqrtUpdate | None:
    """The root anew from the first one, by all additions, then all removals; None where that is in vain."""
    if sum(Z.shape[1] for Z, _ in changes) > base.shape[0] // 2:
        return None
    root, steps = base, 0
    tol = min(call.tol / 2, math.sqrt(unit_roundoff(call.Z.dtype)))
    for sign in (1, -1):
        parts = [Z for Z, s in changes if s == sign]
        if not parts:
            continue
        part = Call(root, np.concatenate(parts, axis=1), sign, call.inverse, None, tol, True, "auto")
        try:
            root = _update(part, refresh=False)
        except BreakdownError:
            return None
        steps += root.info.iterations or 0
    if not isinstance(root, SqrtUpdate) or (call.rank is not None and root.rank > call.rank):
        return None
    info = root.info.replace(
        path=f"refreshed, {root.info.path}",
        iterations=steps,
        converged=bool((root.info.residual or 0.0) <= call.tol),
    )
    return SqrtUpdate(root.base, root.Y, root.weights, info=info, inverse=call.inverse, changes=changes)


def _unchanged(call: Call, base: LinearOperator) -> SqrtUpdate:
    """What is left when every change has been taken back."""
    dtype = np.result_type(base.dtype, call.Z.dtype)
    nothing = np.zeros((base.shape[0], 0), dtype)
    info = Info(
        rank=0,
        method="none",
        iterations=0,
        error_estimate=0.0,
        error_kind="backward",
        error_relative=0.0,
        failure_probability=0.0,
        certificate="exact",
        converged=True,
        residual=0.0,
        path="refreshed, the first root",
    )
    return SqrtUpdate(base, nothing, np.zeros(0, real_dtype(dtype)), info=info, inverse=call.inverse)
