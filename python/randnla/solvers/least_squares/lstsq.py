# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Linear least squares."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace
from randnla._backend.device import is_device, runtime
from randnla._backend.errors import CapacityError, InputError, warn
from randnla._backend.kernels import dense, device_dense
from randnla._backend.results import Info, SolveResult
from randnla._backend.rng import STREAM_VERSION
from randnla.lowrank.scaling import in_units, unit_roundoff
from randnla.operators.device import place_of

from . import methods, plan
from .call import Call, begin, draw, sketch_in_range
from .formulation import Formulation, Overdetermined, Underdetermined
from .preconditioner import precondition, triangle
from .tall import COLUMNS, Array, Tall, column_norms

RUNNERS: dict[str, Callable[[methods.Run], None]] = {
    "householder": methods.householder,
    "cholesky_qr": methods.cholesky_qr,
    "spir": methods.spir,
    "fossils": methods.fossils,
    "iterative": methods.iterative,
    "precondition": methods.precondition,
    "sketch_and_solve": methods.sketch_and_solve,
}
# Methods that are backward stable.
STABLE = ("householder", "cholesky_qr", "spir", "fossils")
TRIES = 2


def lstsq(
    A: Any,
    b: Any,
    *,
    method: str = "auto",
    damp: float = 0.0,
    tol: float | None = None,
    weights: Any = None,
    rank_tol: float | None = None,
    sketch: Any = "auto",
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SolveResult:
    """Solve ``min_x ||A x - b||^2 + damp^2 ||x||^2`` with a backward error as small as Householder QR's.

    Of several solutions, the one of least norm.

    Parameters
    ----------
    A : (m, n) array, sparse matrix, operator, memmap or row stream
        Tall or wide, of any rank; real or complex.
    b : (m,) or (m, k) array
    method : str
        "cholesky_qr" finds a well-conditioned Gram matrix behind the triangle of a sketch; "spir" iterates by
        conjugate gradients instead, "fossils" by heavy ball: all three refine their solution until its
        backward error is that of rounding. "precondition" (LSQR behind the sketch) and "iterative" (heavy
        ball on x) stay forward stable only. "sketch_and_solve" solves the sketched problem. "householder"
        takes A itself for its sketch. "auto" is a choice by shape and kind of input alone: "householder" for
        matrices that are not tall, "cholesky_qr" for tall dense ones and streams, "spir" for sparse matrices,
        operators and many columns.
    damp : float
        At least 0.
    tol : float, optional
        Backward error to reach, relative to ||A||_F: what a relative residual is for systems. As small as
        rounding allows if None.
    weights : (m,) array, optional
        Nonnegative weights of the squared residuals.
    rank_tol : float, optional
        Singular values of A below this fraction of the largest, for columns scaled to unit norm, count as
        zeros. Default: what rounding makes of zeros, 12 units of it or more, at least 48 from 26 columns on.
    sketch : str or random map
        "auto" is a sparse sign map of 4 or, for fixed coefficients, 12 rows a column of A.
    rng : None, int, SeedSequence or Generator
        ``info.seed`` given back replays the call.
    check_finite : bool, default True
    max_memory : int, optional
        Bytes of a block that is read from a memmap.
    callback : callable, optional
        Called with a dict of `stage`, `backward_error`, `iterations`, `passes` and `matvecs` after every
        measured iterate.

    Returns
    -------
    SolveResult
        ``x`` (n,) or (n, k), of the kind of A. ``info.backward_error`` is the estimate, relative to ||A||_F
        and the largest over the right-hand sides; ``info.residual`` is ||b - A x|| / ||b||, the largest, too;
        ``info.rank`` the numerical rank; ``info.condition`` bounds that of the sketch, its columns scaled;
        ``info.converged`` is None where no error was asked for: without `tol`, of "sketch_and_solve",
        "iterative" and "precondition".

    Raises
    ------
    InputError
        Shapes do not agree, or an argument does not fit.
    NonFiniteError
        A, b or the weights hold NaN or Inf.
    CapacityError
        The sketch exceeds 64 GB.

    Warns
    -----
    ConvergenceWarning
        The backward error exceeds `tol`, or without `tol` that of a stable method a hundred roundings.

    Notes
    -----
    *Algorithm*: the triangle R of a sketch S A makes A R^-1 well conditioned (Rokhlin and Tygert, 2008;
    Avron, Maymounkov and Toledo, 2010). "cholesky_qr" takes the Gram matrix of A R^-1, from A^H A while the
    sketch finds A well enough conditioned for that, else from the products themselves (see ``info.path``).
    "spir" and "fossils" are of Epperly, Meier and Nakatsukasa (2024), "iterative" is of Pilanci and
    Wainwright (2016) with the momentum of Lacotte and Pilanci (2020). Wide A are solved by their adjoint:
    x = A^H z. The backward error is that of Karlson and Walden (1997), with singular values from the
    triangle: an estimate, within a factor of 2, of the smallest change of A alone (of [A; damp I] with
    damping) for which x is an exact solution.

    *Differences*: inner iterations end at 1e-8 of their residual, and rounds are taken until the backward
    error is met, instead of two long ones.

    *Cost*: "cholesky_qr" m n^2 or, ill-conditioned, 2 m n^2 flops and four passes over A; "spir" about 60
    passes. A sketch of d rows takes d n numbers of memory and 2 d n^2 flops.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> t = np.linspace(0, 1, 2000)
    >>> A = np.vander(t, 12)
    >>> x, = randnla.lstsq(A, np.cos(3 * t), rng=0)
    >>> info = randnla.lstsq(A, np.cos(3 * t), rng=0).info
    >>> info.method, info.path, info.backward_error < 1e-15
    ('cholesky_qr', 'preconditioned gram', True)
    """
    call = begin(
        A, b, method=method, damp=damp, tol=tol, weights=weights, rank_tol=rank_tol, sketch=sketch, rng=rng,
        check_finite=check_finite, max_memory=max_memory, callback=callback,
    )  # fmt: skip
    with place_of(call.op):
        if 0 in call.op.shape or call.b_is_zero:
            return _trivial(call)
        run, chosen, S = _solve(call)
        return _result(call, run, chosen, S)


def _solve(call: Call) -> tuple[methods.Run, str, Any]:
    """Sketch, and run the method; where it was no embedding, with a larger one and the matrix itself."""
    m, n = max(call.op.shape), min(call.op.shape)
    chosen = plan.choose(call.method, call.kind, m, n, wide=call.wide)
    passes = matvecs = 0
    for attempt in range(TRIES + 1):
        last = attempt == TRIES and call.kind != "device"
        rows = None if last else plan.sketch_rows(chosen, m, n, attempt, kind=call.kind)
        S = draw(call, rows, attempt)
        _require_room(call, m if S is None else S.shape[0], n)
        B, SB = sketch_in_range(call, S)
        B.passes, B.matvecs = B.passes + passes, B.matvecs + matvecs
        run = methods.Run(_formulate(call, B, SB, S), _target(call), _reporter(call, B), call.path)
        (methods.householder if S is None and chosen == "cholesky_qr" else RUNNERS[chosen])(run)
        if run.embedded or S is None:
            break
        call.path.append("sketch redone" if attempt + 1 < TRIES else "sketches failed, whole matrix")
        passes, matvecs = B.passes, B.matvecs
    run.form.restore(run.best)
    return run, chosen, S


def _require_room(call: Call, rows: int, n: int) -> None:
    if rows * n * 16 > 1 << 36:
        raise CapacityError(f"A: a sketch of {rows} x {n} numbers is needed, which exceeds 64 GB")


def _formulate(call: Call, B: Tall, SB: Array, S: Any) -> Formulation:
    m, n = B.shape
    # In the precision of S B: input wider than that of the map would meet dense blocks of it.
    parts = np.result_type(SB.dtype, np.complex64) if call.b.dtype.kind == "c" else SB.dtype
    SB = SB.astype(B.wide)
    if B.damp:
        SB = np.concatenate([SB, B.damp * np.eye(n)])
    if call.wide:
        Sb = np.zeros((SB.shape[0], 0))
    else:
        Sb = call.b if S is None else _sketched(S, call.b, parts)
        Sb = np.concatenate([Sb, np.zeros((SB.shape[0] - Sb.shape[0], Sb.shape[1]))])
    threshold = call.threshold
    if threshold is None:
        threshold = plan.noise(m, n, unit_roundoff(call.op.dtype), sketched=S is not None)
    R, start = triangle(SB, Sb)
    distortion = 0.0 if S is None else math.sqrt(n / S.shape[0])
    P = precondition(R, start, threshold, distortion)
    return Underdetermined(B, P, call.b) if call.wide else Overdetermined(B, P, call.b)


def _sketched(S: Any, b: Array, dtype: Any) -> Array:
    if is_device(b):
        return runtime().to_host(S.apply(device_dense.multiple(b, dtype=dtype)))
    return np.asarray(S @ b.astype(dtype, copy=False))


def _memory(call: Call, S: Any) -> int:
    """Bytes at the peak, by formula: the sketch twice, four cores, b, x and what else has their shape."""
    m, n, k = max(call.op.shape), min(call.op.shape), call.b.shape[1]
    rows = (m if S is None else S.shape[0]) + (n if call.damp else 0)
    wide = np.result_type(call.b.dtype, call.op.dtype)
    held = 2 * rows * (n + k) + 4 * n * n + 4 * (m + n) * k
    if call.kind == "operator":
        held += m * min(n, COLUMNS)
    return int(wide.itemsize * held)


def _target(call: Call) -> float:
    """Half of what is asked for leaves room for the rounding of x; an eighth of a rounding is the floor."""
    floor = unit_roundoff(call.dtype) / 8
    return floor if call.tol is None else max(floor, call.tol / 2)


def _reporter(call: Call, B: Tall) -> Callable[..., None]:
    def report(**state: Any) -> None:
        if call.callback is not None:
            call.callback({**state, "passes": B.passes, "matvecs": B.matvecs})

    return report


def _finished(call: Call, x: Array) -> tuple[Array, float]:
    """x in the units and the dtype of the caller, and how far rounding moved it, relative to its norm.

    (A + E) x optimal is (A + E + F) y optimal for y near x with F = (A + E) (x - y) y^H / ||y||^2, of norm
    ||A|| ||x - y|| / ||y||.
    """
    parts = np.array(x, order="C").view(np.float64)
    exponent = np.repeat(call.b_exponents + call.shift, parts.shape[1] // max(1, x.shape[1]))
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.ldexp(parts, exponent).view(x.dtype).astype(call.dtype)
        if not dense.screen(rounded).finite:
            raise InputError(f"A: the solution exceeds the range of {call.dtype}; scale A up or b down")
        back = np.ldexp(rounded.astype(x.dtype).view(np.float64), -exponent).view(x.dtype)
    moved, lengths = column_norms(back - x), column_norms(back)
    off = np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > 0)
    return rounded, float(off.max(initial=0.0))


def _trivial(call: Call) -> SolveResult:
    """Nothing to solve, or b = 0."""
    call.op.require_finite(name="A")
    x = np.zeros((call.op.shape[1], call.b.shape[1]), call.dtype)
    info = Info(
        method="none",
        path="nothing to do",
        error_estimate=0.0,
        error_kind="backward",
        error_relative=0.0,
        backward_error=0.0,
        residual=0.0 if call.b_is_zero else 1.0,
        converged=True,
        seed=call.seed,
        stream_version=STREAM_VERSION,
    )
    return SolveResult(namespace.restore(call.array_kind, x[:, 0] if call.vector else x), info=info)


def _result(call: Call, run: methods.Run, chosen: str, S: Any) -> SolveResult:
    form = run.form
    error = run.error
    if isinstance(form, Underdetermined):
        error = math.hypot(error, form.range_error())
    x, moved = _finished(call, form.x)
    error += moved
    roundings = methods.HELD * unit_roundoff(call.dtype)
    held = chosen in STABLE and call.tol is None
    limit = call.tol if call.tol is not None else roundings if held else math.inf
    converged = None if math.isinf(limit) else bool(error <= limit)  # None: nothing was asked for
    if converged is False:
        asked = f"tol={call.tol}" if call.tol is not None else f"{roundings:.1e}, a hundred roundings"
        warn(f"the estimated relative backward error {error:.2e} exceeds {asked} ({chosen})")
    b_norms = column_norms(call.b)
    ratios = np.divide(form.residual_norms, b_norms, out=np.zeros_like(b_norms), where=b_norms > 0)
    info = Info(
        rank=form.P.rank,
        method="householder" if S is None and chosen == "cholesky_qr" else chosen,
        sketch=None if S is None else S.kind,
        passes=form.B.passes,
        matvecs=form.B.matvecs,
        error_estimate=in_units(error * form.spectrum.frobenius_norm, -call.shift),
        error_kind="backward",
        error_relative=error,
        backward_error=error,
        residual=float(ratios.max(initial=0.0)),
        converged=converged,
        iterations=run.iterations,
        seed=call.seed,
        path=", ".join(call.path) or "direct",
        stream_version=STREAM_VERSION,
        memory=_memory(call, S),
        certificate="karlson-walden",
        condition=form.P.condition,
    )
    return SolveResult(namespace.restore(call.array_kind, x[:, 0] if call.vector else x), info=info)
