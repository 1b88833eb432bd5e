# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""CP decompositions: concurrent orthogonalization, alternating least squares, and both in a row."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError, warn
from randnla._backend.kernels.tensor import cp_residual
from randnla._backend.rng import seed_from

from .arguments import ROUNDING, Problem, checked_factors, checked_tensor, finish, unit_columns
from .composite import rank_limit, start_or_empty
from .results import CPResult
from .sketched import MAPS, SketchedSweep, sketch_size
from .sweeps import CONDITION, State, Sweep, iterate, least_squares_sweep, orthogonalization_sweep

SWEEPS: dict[str, Sweep] = {"ico": orthogonalization_sweep, "als": least_squares_sweep}


def ico(
    T: Any,
    rank: int,
    *,
    init: Any = "cpca",
    tol: float | None = None,
    max_iters: int = 50,
    rng: Any = None,
    check_finite: bool = True,
) -> CPResult:
    """CP decomposition by iterative concurrent orthogonalization, which converges with order K - 1.

    Parameters
    ----------
    T : array of shape (d_0, ..., d_{K-1}), K = 3..6
        Real.
    rank : int
        Components; at most the least d_k.
    init : {"cpca", "random"} or sequence of (d_k, rank) arrays
        Start.
    tol : float, optional
        Largest sine of the angle that a column may still move by in a sweep, rounding apart; 1e-8, in
        float32 1e-4.
    max_iters : int, default 50
        Sweeps.
    rng : int, SeedSequence, Generator or None
        Seed of the start.
    check_finite : bool, default True
        Refuse NaN and Inf.

    Returns
    -------
    CPResult
        `info` with the measured error of the sum, the last move as `residual`, and the largest condition of a
        factor.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        T holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        Columns still move, or factors are so nearly dependent that their duals inflate noise.

    Notes
    -----
    *Algorithm*: Han and Zhang (2021), ICO.

    *Cost*: K products of 2 r prod(d_k) flops a sweep, one read of T each.

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> A, B, C = (np.random.default_rng(k).standard_normal((9, 2)) for k in range(3))
    >>> result = randnla.tensor.ico(np.einsum("ir,jr,kr->ijk", A, B, C), 2, rng=0)
    >>> result.info.error_relative < 1e-12
    True
    """
    task = _task(T, rank, init, "ico", tol, max_iters, rng, check_finite)
    state = _start(task, init)
    converged = iterate(task.problem.values, state, orthogonalization_sweep, task.tol, task.max_iters)
    return _result(task, state, _named(init), converged=converged)


def als(
    T: Any,
    rank: int,
    *,
    init: Any = "cpca",
    tol: float | None = None,
    max_iters: int = 500,
    sketch: str = "none",
    sketch_rows: int | str = "auto",
    rng: Any = None,
    check_finite: bool = True,
) -> CPResult:
    """CP decomposition by alternating least squares.

    Parameters
    ----------
    T, tol, rng, check_finite
        As in `ico`.
    rank : int
        Components; at most ``prod(d_k) / max(d_k)``, and with ``init="cpca"`` the smaller side of the
        squarest unfolding.
    init : {"cpca", "random"} or sequence of (d_k, rank) arrays
        Start.
    max_iters : int, default 500
        Sweeps.
    sketch : {"none", "tensor_sketch", "khatri_rao"}
        Map of the unfoldings, by a `TensorSketch` or a `KhatriRaoSketch` of the other modes. The sketches are
        taken once, in a pass for each mode, and the sweeps work on them alone.
    sketch_rows : int or "auto"
        Of a sketch, at least `rank`; "auto" is ``max(1000, 50 rank)``.

    Returns
    -------
    CPResult
        As of `ico`, the error of all of T with a sketch, too.

    Raises
    ------
    InputError, NonFiniteError
        As of `ico`.

    Warns
    -----
    ConvergenceWarning
        Columns still move after `max_iters` sweeps.

    Notes
    -----
    *Algorithm*: Carroll and Chang (1970), Harshman (1970); sketched, Wang, Tung, Smola and Anandkumar (2015)
    and Battaglino, Ballard and Kolda (2018). A sketch of s rows raises the squared error by some r / s of it.

    *Cost*: as `ico`. With a `TensorSketch` K prod(d_k) additions once, and r (sum(d_k) + s log s + s r) flops
    a mode and sweep; a `KhatriRaoSketch` takes 2 s prod(d_k) flops a mode for the passes.

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> A, B, C = (np.random.default_rng(k).standard_normal((9, 2)) for k in range(3))
    >>> result = randnla.tensor.als(np.einsum("ir,jr,kr->ijk", A, B, C), 2, rng=0)
    >>> result.info.error_relative < 1e-7
    True
    """
    task = _task(T, rank, init, "als", tol, max_iters, rng, check_finite)
    validate.choice(sketch, ("none", *MAPS), name="sketch")
    least = max(task.rank, 1)
    rows = sketch_size(least) if sketch_rows == "auto" else sketch_rows
    rows = validate.integer(rows, name="sketch_rows", low=least)
    state = _start(task, init)
    values, path = task.problem.values, _named(init)
    sweep: Sweep = least_squares_sweep
    if sketch != "none" and values.size and task.rank:
        sweep, path = SketchedSweep(values, sketch, rows, task.seed), f"{path}, {sketch} of {rows} rows"
    converged = iterate(values, state, sweep, task.tol, task.max_iters)
    return _result(task, state, path, converged=converged)


def cp(
    T: Any,
    rank: int,
    *,
    init: Any = "cpca",
    method: str = "ico",
    refine: int = 3,
    starts: int = 1,
    tol: float | None = None,
    max_iters: int = 50,
    rng: Any = None,
    check_finite: bool = True,
) -> CPResult:
    """CP decomposition of a tensor: spectral start, concurrent orthogonalization, least squares to finish.

    Parameters
    ----------
    T, tol, max_iters, check_finite
        As in `ico`.
    rank : int
        Components; at most the least d_k with ``method="ico"``, see `als` for the other.
    init : {"cpca", "random"} or sequence of (d_k, rank) arrays
        First start.
    method : {"ico", "als"}
        Iteration.
    refine : int, default 3
        Sweeps of least squares at the end, which take back the noise that dual vectors inflate.
    starts : int, default 1
        Starts, random ones after the first; the decomposition of least error is returned.
    rng : int, SeedSequence, Generator or None
        Seed of the starts.

    Returns
    -------
    CPResult
        `info` as of `ico`; its path names the start that won and the iteration.

    Raises
    ------
    InputError, NonFiniteError
        As of `ico`.

    Warns
    -----
    ConvergenceWarning
        Columns still moved when `method` ended, or, of "ico", factors are nearly dependent.

    Notes
    -----
    *Algorithm*: Han and Zhang (2021), composite PCA and ICO; the finish is ours.

    *Cost*: of `cpca` and K products of 2 r prod(d_k) flops for each sweep.

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> A, B, C = (np.random.default_rng(k).standard_normal((9, 2)) for k in range(3))
    >>> weights, factors = randnla.tensor.cp(np.einsum("ir,jr,kr->ijk", A, B, C), 2, rng=0)
    >>> [factor.shape for factor in factors]
    [(9, 2), (9, 2), (9, 2)]
    """
    method = validate.choice(method, tuple(SWEEPS), name="method")
    task = _task(T, rank, init, method, tol, max_iters, rng, check_finite)
    refine = validate.integer(refine, name="refine", low=0)
    starts = validate.integer(starts, name="starts", low=1)
    values = task.problem.values
    best: tuple[float, State, bool, str] | None = None
    for index in range(starts):
        chosen = init if index == 0 else "random"
        state = _start(task, chosen, index)
        converged = iterate(values, state, SWEEPS[method], task.tol, task.max_iters)
        _refine(values, state, refine)
        error = cp_residual(values, state.weights, state.factors) if starts > 1 else 0.0
        if best is None or error < best[0]:
            path = f"start {index} ({_named(chosen)}), {method}, {refine} sweeps of als"
            best = error, state, converged, path
    assert best is not None
    _, state, converged, path = best
    return _result(task, state, path, converged=converged)


def _refine(T: Any, state: State, sweeps: int) -> None:
    """Sweeps of least squares for the components that are there: others would come back as rounding."""
    least = ROUNDING * float(np.finfo(T.dtype).eps) * float(np.max(state.weights, initial=0.0))
    there = state.weights > least
    if not np.any(there):
        return
    part = replace(state, weights=state.weights[there], factors=[A[:, there] for A in state.factors])
    iterate(T, part, least_squares_sweep, 0.0, sweeps)
    state.change, state.sweeps = part.change, part.sweeps
    state.weights = state.weights.copy()
    state.weights[there] = part.weights
    for A, B in zip(state.factors, part.factors, strict=True):
        A[:, there] = B


@dataclass(frozen=True)
class _Task:
    """Checked arguments."""

    problem: Problem
    rank: int
    method: str
    tol: float
    max_iters: int
    seed: int


def _task(
    T: Any, rank: Any, init: Any, method: str, tol: Any, max_iters: Any, rng: Any, check_finite: Any
) -> _Task:
    problem = checked_tensor(T, check_finite=check_finite)
    shape = problem.shape
    limit = min(shape) if method == "ico" else math.prod(shape) // max(1, *shape)
    if method == "als" and isinstance(init, str) and init == "cpca":
        limit = min(limit, rank_limit(shape))
    return _Task(
        problem,
        validate.rank(rank, limit),
        method,
        _tolerance(tol, problem),
        validate.integer(max_iters, name="max_iters", low=1),
        seed_from(rng),
    )


def _named(init: Any) -> str:
    return init if isinstance(init, str) else "given"


def _tolerance(tol: float | None, problem: Problem) -> float:
    if tol is None:
        return 1e-8 if problem.values.dtype == np.float64 else 1e-4
    return validate.tolerance(tol)


def _start(task: _Task, init: Any, index: int = 0) -> State:
    T, rank = task.problem.values, task.rank
    if not isinstance(init, str):
        units = [unit_columns(A) for A in checked_factors(init, T.shape, T.dtype, name="init", rank=rank)]
        if any(not np.all(norms > 0) for _, norms in units):
            raise InputError("init: expected columns other than zero, got a column of zeros")
        return State(np.ones(rank, T.dtype), [factor for factor, _ in units])
    validate.choice(init, ("cpca", "random"), name="init")
    if init == "cpca":
        return State(*start_or_empty(task.problem, rank, task.seed))
    rng = np.random.default_rng([task.seed, index])
    factors = [unit_columns(rng.standard_normal((d, rank)))[0].astype(T.dtype) for d in T.shape]
    return State(np.full(rank, 1.0 if np.any(T) else 0.0, T.dtype), factors)


def _warn(name: str, state: State, *, converged: bool) -> None:
    if not converged:
        warn(
            f"{name}: columns still move by {state.change:.3g} after {state.sweeps} sweeps; "
            "raise max_iters or tol, or try more starts"
        )
    elif state.condition > CONDITION:
        warn(
            f"ico: a factor has condition {state.condition:.3g}, its dual vectors inflate noise; "
            "try method='als'"
        )


def _result(task: _Task, state: State, path: str, *, converged: bool) -> CPResult:
    _warn(task.method, state, converged=converged)
    moved = state.change if np.isfinite(state.change) else 0.0
    return finish(
        task.problem,
        state.weights,
        state.factors,
        method=task.method,
        path=path,
        seed=task.seed,
        converged=converged,
        iterations=state.sweeps,
        residual=moved,
        condition=state.condition if task.method == "ico" and np.isfinite(state.condition) else None,
    )
