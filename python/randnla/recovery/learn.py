# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Completion of a matrix, and of an operator from entries of its powers: the drivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError, warn
from randnla._backend.kernels import dense
from randnla._backend.kernels.sparse import sampled_product
from randnla._backend.kernels.weighted_draws import uniforms
from randnla._backend.results import Info, SVDResult
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.lowrank.scaling import exponent_of, largest_magnitude
from randnla.operators import LowRank

from . import irls
from .determined import least_seen
from .hankel import Array, Hankel, Samples
from .results import TransitionResult

Callback = Callable[[dict[str, Any]], None]
_HELD_OUT_STREAM = 7
LEAST_SEEN = 1e-3
"""Of a change of the matrix, over the share of its entries that are samples: less does not determine it."""


def complete(
    samples: Any,
    shape: tuple[int, int],
    rank: int,
    *,
    tol: float = 1e-10,
    holdout: float = 0.02,
    max_iters: int = 200,
    rng: Any = None,
    callback: Callback | None = None,
) -> SVDResult:
    """The matrix of rank `rank` that has these entries.

    Parameters
    ----------
    samples : (rows, columns, values)
        Three vectors of the same length; no entry twice.
    shape : tuple of int
        (m, n).
    rank : int
        At most ``min(m, n) - 1``.
    tol : float
        Singular value number `rank` + 1 over the first at which the iteration ends.
    holdout : float
        Share of the samples that are kept back to estimate the error, in [0, 0.5].
    max_iters : int
    rng : None, int, SeedSequence, Generator
    callback : callable, optional
        Called with a dictionary for each iteration.

    Returns
    -------
    SVDResult
        U (m, rank), s, Vh and `info`; `info.error_relative` is that of the samples kept back, an estimate.

    Raises
    ------
    InputError
        An argument does not fit, there are fewer samples than the ``rank (m + n - rank)`` unknowns, or the
        singular values are beyond the range of float64.
    NonFiniteError
        A value is NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        The matrix that was found is not of this rank: there are too few samples, noise, or the rank is wrong.
        Or a row or column has fewer than `rank` samples beside those held out: nothing determines it, and it
        may come back as zeros. Or the samples see less than a thousandth of their share of some change of
        what was found: other matrices of this rank have nearly the same samples.

    Notes
    -----
    *Algorithm*: MatrixIRLS (Kuemmerle and Mayrink Verdun, 2021): least squares weighted by singular values
    of the iterate, solved on the tangent space by conjugate gradients, as exactly as the order of convergence
    of 2 asks for. At the end the smallest eigenvalue of the samples on the tangent space is looked at.

    *Cost*: O((m + n) rank^2 + rank samples) for each of some tens of products at each iteration; memory
    O((m + n) rank + samples).

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.recovery import complete
    >>> rng = np.random.default_rng(0)
    >>> A = np.outer(rng.standard_normal(40), rng.standard_normal(30))
    >>> rows, columns = np.nonzero(rng.random(A.shape) < 0.3)
    >>> found = complete((rows, columns, A[rows, columns]), A.shape, 1, rng=0)
    >>> bool(np.allclose(found.to_dense(), A))
    True
    """
    rows, columns, values = _parts(samples, 3)
    given = _checked(np.zeros(np.shape(rows), np.int64), rows, columns, values, 1, shape)
    found, info = _learn(given, rank, tol, holdout, max_iters, rng, callback)
    at = found.at.cut(info.rank or 0)
    return SVDResult(at.U, at.s, at.V.conj().T, info=info)


def learn_transition(
    samples: Any,
    horizon: int,
    rank: int,
    *,
    shape: tuple[int, int],
    growth: float | str = "auto",
    tol: float = 1e-10,
    holdout: float = 0.02,
    max_iters: int = 200,
    rng: Any = None,
    callback: Callback | None = None,
) -> TransitionResult:
    """The operator A of rank `rank` whose powers have these entries.

    Parameters
    ----------
    samples : (times, rows, columns, values)
        Entries of ``A**t``, t = 1, ..., horizon; no entry of a time twice.
    horizon : int
        Largest time T.
    rank : int
    shape : tuple of int
        (n, n).
    growth : float or "auto"
        A^t / growth^(t - 1) is what is fitted, so that late times weigh as much as early ones. "auto": from
        the mean squares of the samples of the first and the last time that has any.
    tol, holdout, max_iters, rng, callback
        As in `complete`.

    Returns
    -------
    TransitionResult
        A as a `LowRank`, `misfit` and `info`; `info.error_relative` is no less than `misfit`.

    Raises
    ------
    InputError, NonFiniteError
        As by `complete`.

    Warns
    -----
    ConvergenceWarning
        As by `complete`, and where `misfit` exceeds the root of `tol`: the sequence that was found is not one
        of powers.

    Notes
    -----
    *Algorithm*: Kuemmerle, Maggioni and Tang (2022). The block Hankel matrix of the powers has the rank of A;
    each step is least squares weighted by its singular values, solved on the tangent space through a
    capacitance matrix by products alone. Nothing there says that X_2 is X_1^2: this is checked at the end.
    For two times the matrix is ``[X_1 X_2]``, which has ``rank (3 n - rank)`` unknowns.

    *Cost*: O(n rank^2 T^2 + rank T samples) a product, some tens of them at each iteration; memory
    O(n rank T + samples).

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.recovery import learn_transition
    >>> rng = np.random.default_rng(0)
    >>> Q = np.linalg.qr(rng.standard_normal((40, 2)))[0]
    >>> A = (Q * [1.0, 0.9]) @ Q.T
    >>> powers = np.stack([A, A @ A, A @ A @ A])
    >>> t, i, j = np.nonzero(rng.random(powers.shape) < 0.2)
    >>> found = learn_transition((t + 1, i, j, powers[t, i, j]), 3, 2, shape=A.shape, rng=0)
    >>> bool(np.allclose(found.A.to_dense(), A, atol=1e-7))
    True
    """
    horizon = validate.integer(horizon, name="horizon", low=1)
    times, rows, columns, values = _parts(samples, 4)
    given = _checked(_whole(times, "times"), rows, columns, values, horizon, shape, first=1)
    if given.shape[0] != given.shape[1]:
        raise InputError(f"shape: expected a square operator, got {given.shape}")
    rate = _growth(growth, given)
    scaled = Samples(
        given.times, given.rows, given.columns, given.values / rate**given.times, horizon, given.shape
    )
    found, info = _learn(scaled, rank, tol, holdout, max_iters, rng, callback)
    first = _first(found.X)
    at = irls.leading(first, min((info.rank or 0) + irls.SPARE, *given.shape), None, info.seed or 0)
    at = at.cut(info.rank or 0)
    misfit = _misfit(at, rate, scaled)
    if info.converged and misfit > tol**0.5:
        warn(
            f"learn_transition: powers of the operator that was found miss the samples by {misfit:.2e}; "
            "there are too few samples"
        )
    info = info.replace(
        path=f"growth {rate:.6g}",
        converged=bool(info.converged and misfit <= tol**0.5),
        error_relative=None if info.error_relative is None else max(info.error_relative, misfit),
        certificate=f"{info.certificate}, powers at all samples",
    )
    return TransitionResult(LowRank(at.U, at.s, at.V), misfit=misfit, info=info)


def _first(X: Hankel) -> Hankel:
    """X_1 alone."""
    (m, n), s = X.samples.shape, X.samples
    now = s.times == 0
    alone = Samples(s.times[now], s.rows[now], s.columns[now], s.values[now], 1, s.shape)
    return Hankel(alone, X.L[:m], np.ascontiguousarray(X.R[:, :n]), X.values[now])


def _misfit(at: irls.Triplets, rate: float, samples: Samples) -> float:
    """Root mean square of A^t / rate^(t - 1) less the samples, over that of the samples, for A = U s V^H."""
    left, right = at.U * at.s, np.ascontiguousarray(at.V.conj())
    step = at.V.conj().T @ left / rate
    rest = samples.values.copy()
    for pattern in samples.patterns:
        rest[pattern.order] -= sampled_product(pattern.starts, pattern.indices, left, right)
        left = dense.gemm(left, step)
    size = _root_mean_square(samples.values)
    return _root_mean_square(rest) / size if size else 0.0


def _growth(growth: Any, s: Samples) -> float:
    if not isinstance(growth, str):
        value = validate.real(growth, name="growth", low=0.0)
        if value == 0:
            raise InputError("growth: expected a positive number, got 0.0")
        return value
    validate.choice(growth, ("auto",), name="growth")
    sizes = {int(t): _root_mean_square(s.values[s.times == t]) for t in np.unique(s.times)}
    seen = [t for t, size in sizes.items() if size > 0]
    if len(seen) < 2:
        return 1.0
    first, last = seen[0], seen[-1]
    power = 1 / (last - first)
    return float(sizes[last] ** power / sizes[first] ** power)


def _root_mean_square(values: Array) -> float:
    """Of values whose squares may be beyond what is a number."""
    top = float(np.abs(values).max(initial=0.0))
    return top * float(np.mean(np.abs(values / top) ** 2)) ** 0.5 if top else 0.0


def _parts(samples: Any, count: int) -> tuple[Any, ...]:
    words = ("times", "rows", "columns", "values")[4 - count :]
    if not isinstance(samples, (tuple, list)) or len(samples) != count:
        raise InputError(f"samples: expected ({', '.join(words)}), got {validate.shown(samples)}")
    return tuple(samples)


def _whole(value: Any, name: str) -> Array:
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"{name}: expected a vector of integers, got shape {array.shape} and dtype {array.dtype}"
        )
    return array.astype(np.int64)


def _checked(
    times: Array, rows: Any, columns: Any, values: Any, horizon: int, shape: Any, first: int = 0
) -> Samples:
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise InputError(f"shape: expected two integers, got {validate.shown(shape)}")
    m, n = (validate.integer(x, name=f"shape[{k}]", low=1) for k, x in enumerate(shape))
    found = validate.as_array(values, name="values", ndim=1)
    validate.require_finite(found, name="values")
    wide = np.complex128 if found.dtype.kind == "c" else np.float64
    i, j = validate.indices(rows, m, name="rows"), validate.indices(columns, n, name="columns")
    for name, part in (("times", times), ("rows", i), ("columns", j)):
        if part.size != found.size:
            raise InputError(f"{name}: expected {found.size} of them as of values, got {part.size}")
    times = times - first
    if times.size and not 0 <= times.min() <= times.max() < horizon:
        raise InputError(f"times: expected integers in [1, {horizon}]")
    key = (times * m + i) * n + j
    if np.unique(key).size != key.size:
        raise InputError("samples: expected every entry once, some are given twice")
    return Samples(times, i, j, found.astype(wide), horizon, (m, n))


def _learn(
    given: Samples, rank: Any, tol: Any, holdout: Any, max_iters: Any, rng: Any, callback: Any
) -> tuple[irls.Recovered, Info]:
    tol = validate.tolerance(tol)
    holdout = validate.real(holdout, name="holdout", low=0.0, high=0.5)
    max_iters = validate.integer(max_iters, name="max_iters", low=1)
    report = validate.callback(callback) or (lambda state: None)
    (m, n), seed = given.shape, seed_from(rng)
    rank = validate.integer(rank, name="rank", low=1, high=max(1, min(m, n) - 1))
    kept = uniforms(given.values.size, seed=seed, stream=_HELD_OUT_STREAM) >= holdout
    unknowns = rank * (m + n - rank)
    if np.count_nonzero(kept) < unknowns:
        raise InputError(
            f"samples: expected at least rank (m + n - rank) = {unknowns} beside those held out, got "
            f"{np.count_nonzero(kept)}"
        )
    unit = 2.0 ** min(exponent_of(largest_magnitude(given.values)), 1023)
    scaled = _part(given, kept, unit)
    found = irls.iterate(scaled, rank, tol=tol, max_iters=max_iters, seed=seed, report=report)
    relative = _held_out_error(found, _part(given, ~kept, unit))
    first = float(found.at.s[0])
    if not np.isfinite(first * unit):
        raise InputError("values: the singular values of their matrix are beyond the range of float64")
    if not found.settled:
        warn(
            f"recovery: singular value {rank + 1} is {found.eps / max(first, 1e-300):.2e} of the first, "
            f"above tol={tol:g}; there may be too few samples, noise, or another rank"
        )
    rows, columns = _open_lines(scaled, rank)
    if rows + columns:
        warn(
            f"recovery: {rows} rows and {columns} columns have fewer than {rank} samples beside those "
            "held out and are not determined"
        )
    there = int(np.count_nonzero(found.at.s[:rank] > 10 * tol * first))
    seen = 1.0
    if found.settled and there and not rows + columns:
        seen = least_seen(scaled, found.at.cut(there), seed)
        _tell_of_open_changes(seen)
    for array in (found.at.s, found.X.L, found.X.values):
        array *= unit
    return found, Info(
        rank=rank,
        method="irls",
        matvecs=found.products,
        error_relative=relative,
        error_kind="frobenius",
        converged=found.settled and not rows + columns and seen >= LEAST_SEEN,
        iterations=found.steps,
        residual=found.eps / first if first else 0.0,
        seed=seed,
        stream_version=STREAM_VERSION,
        certificate="samples held out, and what they see of changes",
    )


def _tell_of_open_changes(seen: float) -> None:
    if seen < LEAST_SEEN:
        warn(
            f"recovery: the samples see {seen:.2e} of some change of what was found, over their share: they "
            "hardly determine it, there are too few of them or the rank is too large"
        )


def _open_lines(samples: Samples, rank: int) -> tuple[int, int]:
    """Rows and columns with fewer samples, of all times together, than their `rank` unknowns."""
    seen = zip((samples.rows, samples.columns), samples.shape, strict=True)
    rows, columns = (int(np.count_nonzero(np.bincount(x, minlength=k) < rank)) for x, k in seen)
    return rows, columns


def _part(given: Samples, kept: Array, unit: float) -> Samples:
    t, i, j, v = (x[kept] for x in (given.times, given.rows, given.columns, given.values))
    return Samples(t, i, j, v / unit, given.horizon, given.shape)


def _held_out_error(found: irls.Recovered, out: Samples) -> float | None:
    """Root mean square of the misfit at samples kept back, over that of these samples."""
    size = float(np.linalg.norm(out.values))
    if not size:
        return None
    there = out.at(found.X.L, found.X.R) / out.multiplicity()[out.times]
    return float(np.linalg.norm(there - out.values)) / size
