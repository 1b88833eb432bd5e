# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What matrices that arrive in pieces are fed: a piece that is refused leaves no bit changed."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hostile_curvature import dtype_for, side, unchanged
from hostile_targets import (
    RANK,
    Array,
    Target,
    check_svd,
    exponent,
    optimum,
    rescale,
    residual_too_large,
    slack,
)

from randnla import FrequentDirections, IncrementalSVD, StreamingSVD

HEIGHT = 8  # of a piece; the basis of rank 5 then grows inside a space of 24
SIZE = 2 * RANK


def pieces(A: Any) -> list[Any]:
    """Some rows at a time; what is no matrix comes whole."""
    if isinstance(A, (list, tuple)) or (isinstance(A, np.ndarray) and A.ndim == 2 and len(A) > HEIGHT):
        return [A[i : i + HEIGHT] for i in range(0, len(A), HEIGHT)]
    return [A]


# -- sketches ------------------------------------------------------------------------------------------


def streamed(A: Any, *, method: str) -> Any:
    m, n = side(A, 0), side(A, 1)
    stream = StreamingSVD((m, n), min(RANK, m, n), method=method, dtype=dtype_for(A), rng=0)
    empty = 0 in getattr(A, "shape", ())
    place = {"rows": slice(0, A.shape[0]), "columns": slice(0, A.shape[1])} if empty else {}
    unchanged(stream, lambda: stream.update(A, **place))
    return stream.result()


def padded(truth: Array) -> Array:
    """What has no rows or columns lies within a matrix of zeros that has."""
    out = np.zeros([max(1, size) for size in truth.shape], truth.dtype)
    out[: truth.shape[0], : truth.shape[1]] = truth
    return out


def check_streamed(result: Any, truth: Array, eps: float) -> str | None:
    whole, e = padded(truth), exponent(truth)
    problem = check_svd(result, whole, eps, factor=4.0)  # no second pass refines it
    wide = rescale(result.U, 0) * rescale(result.s, e)
    error = float(np.linalg.norm(rescale(whole, e) - wide @ result.Vh))
    reported = float(rescale(result.info.error_estimate, e))
    room = slack(truth, e, eps)
    missed = None if error <= reported + room else f"error {error:.3e} reported as {reported:.3e}"
    return problem or missed


def right(p: int) -> Array:
    """Twelve rows of p numbers that float32 holds."""
    return np.random.default_rng(12).integers(-8, 9, (12, p)) / 8


def columns_of(A: Any) -> int:
    return 0 if getattr(A, "shape", ())[1:] == (0,) else side(A, 1)


def rank_one(u: Any) -> Any:
    m = side(u, 0)
    stream = StreamingSVD((m, 12), min(RANK, m), dtype=dtype_for(u), rng=0)
    unchanged(stream, lambda: stream.update_rank_one(u, right(columns_of(u)).astype(stream.dtype)))
    return stream.result()


def check_rank_one(result: Any, truth: Array, eps: float) -> str | None:
    e, V = exponent(truth), right(truth.shape[1])
    product = rescale(truth, e) @ V.T
    rest = product - (rescale(result.U, 0) * rescale(result.s, e)) @ result.Vh
    error, best = float(np.linalg.norm(rest)), optimum(product, 0, RANK)
    bound = 4.0 * best + slack(truth, e, eps) * (1 + float(np.linalg.norm(V)))
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


# -- rows and columns that are appended ----------------------------------------------------------------


def appended(A: Any, *, whole: bool) -> Any:
    found = IncrementalSVD(side(A, 1), RANK, dtype=dtype_for(A))
    for piece in [A] if whole else pieces(A):
        unchanged(found, lambda piece=piece: found.update(piece))
    return found.result()


def columns_appended(A: Any) -> Any:
    """Beside a column of zeros."""
    m = A.shape[0] if 0 in getattr(A, "shape", ()) else side(A, 0)
    found = IncrementalSVD(1, RANK, dtype=dtype_for(A))
    found.update(np.zeros((m, 1)))
    unchanged(found, lambda: found.update_columns(A))
    return found.result()


def check_appended(result: Any, truth: Array, eps: float, *, before: int = 0) -> str | None:
    U, s, Vh = result.U, result.s, result.Vh[:, before:]
    if (len(U), Vh.shape[1]) != truth.shape:
        return f"shapes {U.shape}, {s.shape}, {Vh.shape}"
    e = exponent(truth)
    rest = rescale(truth, e) - (rescale(U, 0) * rescale(s, e)) @ Vh
    reported, room = float(rescale(result.info.error_estimate, e)), slack(truth, e, eps)
    if float(np.linalg.norm(rest)) > reported + room:
        return f"error {float(np.linalg.norm(rest)):.3e} reported as {reported:.3e}"
    size = float(np.linalg.norm(rescale(truth, e)))
    # Rows alone, or columns alone: the bound is the error itself.
    off = abs(result.info.error_relative * size - float(np.linalg.norm(rest)))
    if size and off > room + 1e-4 * size:
        return f"relative error off by {off / size:.3e}"
    return residual_too_large(rest, truth, e, min(RANK, *truth.shape), eps, 1.5)


# -- frequent directions -------------------------------------------------------------------------------


def directions(A: Any) -> Any:
    found = FrequentDirections(side(A, 1), SIZE, dtype=dtype_for(A))
    for piece in pieces(A):
        unchanged(found, lambda piece=piece: found.update(piece))
    return found.result()


def check_directions(result: Any, truth: Array, eps: float) -> str | None:
    """0 <= A^H A - B^H B <= min_k ||A - A_k||_F^2 / (l - k), in units of 4^e."""
    e, n = exponent(truth), max(1, truth.shape[1])
    if result.Vh.shape != (min(SIZE, n), n):
        return f"shape {result.Vh.shape}"
    A, B = rescale(padded(truth), e), rescale(result.s, e)[:, None] * result.Vh
    w = np.linalg.eigvalsh(A.conj().T @ A - B.conj().T @ B)
    best = min(optimum(A, 0, k) ** 2 / (SIZE - k) for k in range(SIZE))
    room = slack(truth, e, eps) * (1 + float(np.linalg.norm(A)))
    if w[0] < -room or w[-1] > best + room:
        return f"A^H A - B^H B from {w[0]:.3e} to {w[-1]:.3e}, expected at most {best:.3e}"
    reported = float(rescale(rescale(result.info.error_estimate, e), e)) if abs(e) < 400 else np.inf
    return None if w[-1] <= reported + room else f"loss {w[-1]:.3e} reported as {reported:.3e}"


def _targets() -> list[Target]:
    rows: dict[str, Any] = {
        "argument": "rows",
        "entries_only": True,
        "refuses": lambda truth: truth.shape[1] == 0,
    }
    return [
        *(
            Target(
                f"StreamingSVD.update, {method}",
                partial(streamed, method=method),
                check_streamed,
                argument="block",
            )
            for method in ("tyuc17", "sketchy")
        ),
        Target(
            "StreamingSVD.update_rank_one",
            rank_one,
            check_rank_one,
            argument="u",
            dense_only=True,
            takes_vectors=True,
            refuses=lambda truth: truth.shape[0] == 0,
        ),
        Target("IncrementalSVD.update", partial(appended, whole=True), check_appended, **rows),
        Target("IncrementalSVD.update, in pieces", partial(appended, whole=False), check_appended, **rows),
        Target(
            "IncrementalSVD.update_columns",
            columns_appended,
            partial(check_appended, before=1),
            argument="columns",
            entries_only=True,
        ),
        Target("FrequentDirections.update", directions, check_directions, **rows),
    ]


TARGETS = {target.name: target for target in _targets()}
