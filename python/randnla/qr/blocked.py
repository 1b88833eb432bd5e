# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The QR factorization of a dense matrix."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.device import is_device, runtime
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import qr as kernels
from randnla._backend.results import Info, QRResult
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.operators import RowStream, as_operator, dense_entries

from .tsqr import tsqr, tsqr_stream

METHODS = ("auto", "householder", "cholesky", "tsqr")
MODES = ("reduced", "r")


def qr(
    A: Any, *, method: str = "auto", mode: str = "reduced", rng: Any = None, check_finite: bool = True
) -> QRResult:
    """Thin QR factorization ``A = Q @ R`` with orthonormal Q, whatever the condition or rank of `A`.

    Parameters
    ----------
    A : (m, n) array, or RowStream
        On a GPU (`/guide/gpu`) by "cholesky", for m >= n and n at most 256 (float32) or 128.
        Any layout; float16 is worked in float32, integers and bools in float64. A stream of rows, or with
        "tsqr" a memmap, is read once; only "tsqr" takes streams.
    method : {"auto", "cholesky", "householder", "tsqr"}, default "auto"
        "cholesky" is fast for tall `A`; "householder" is LAPACK's; "tsqr" factors stretches of rows by
        Householder's method and then their triangles, for `A` with many more rows than columns. "auto" takes
        "cholesky" for real `A` with at least twice as many rows as columns, "tsqr" for a stream and
        "householder" else: a choice by shape, dtype and kind alone.
    mode : {"reduced", "r"}, default "reduced"
        "r" returns None for Q, which spares "tsqr" half of the work, and for a stream the memory.
    rng : None, int, SeedSequence or Generator, default None
        Seed of the sketch that preconditions an ill-conditioned `A`.
    check_finite : bool, default True
        With False, an `A` that holds NaN or Inf gives factors full of NaN instead of an error.

    Returns
    -------
    QRResult
        ``Q, R = qr(A)``: Q is (m, k) and R (k, n), k = min(m, n). The diagonal of R is real and
        nonnegative, which makes the factorization of an `A` of full rank unique. ``info.path`` tells the
        route taken: "cholesky", "sketch+cholesky", "householder", "tree" or, for R of a stream, "fold".

    Raises
    ------
    InputError
        `A` is not a dense matrix of numbers, `method` or `mode` is unknown, or R does not fit in the dtype.
    NonFiniteError
        `A` holds NaN or Inf.

    Notes
    -----
    *Algorithm*: "cholesky" forms the Gram matrix (in float64), scales it to a unit diagonal by powers of
    two, and takes Q = A R^-1 twice (CholeskyQR2: Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, ETNA 44,
    2015). Where the first factor breaks down or is ill-conditioned, R of Householder's QR of a sparse
    sign sketch S A preconditions A first (Balabanov, arXiv:2210.09953), by substitution in float64, which
    brings any condition down to about 3; columns that depend on those before them give way to random
    directions. Where A has fewer than 8 n rows, or is complex, Householder's method is the fallback.
    "tsqr" is the tree of Demmel, Grigori, Hoemmen and Langou (SIAM J. Sci. Comput. 34, 2012), a leaf of
    rows to a core's cache; for fewer rows than columns, or complex A, it is Householder's method too.

    ||Q^H Q - I||_F stays below 50 eps sqrt(n) and ||A - Q R||_F below a modest multiple of eps ||A||_F.
    Powers of two are exact: qr(2^p A) has the same Q and 2^p R, bit for bit, while nothing over- or
    underflows.

    *Cost*: "cholesky" 4 m n^2 flops and three passes over m x n, all products on the thread team;
    preconditioning adds about as much again. "householder" 4 m n^2 flops. "tsqr" 5 m n^2 (R alone
    3 m n^2) on the team; R of a stream holds 8 MB of its rows, or 17 n if that is more, at a time.

    Examples
    --------
    >>> import numpy as np
    >>> import randnla
    >>> A = np.vander(np.linspace(0, 1, 1000), 20)
    >>> Q, R = randnla.qr(A, rng=0)
    >>> bool(np.allclose(Q.T @ Q, np.eye(20), atol=1e-14)), bool(np.allclose(Q @ R, A, atol=1e-14))
    (True, True)
    >>> randnla.qr(A, rng=0).info.path
    'sketch+cholesky'
    """
    validate.choice(method, METHODS, name="method")
    validate.flag(check_finite, name="check_finite")
    validate.choice(mode, MODES, name="mode")
    kind = namespace.kind_of(A)
    stream = _stream_of(A, method, check_finite=check_finite)
    matrix: Any = _matrix_of(A) if stream is None else stream
    m, n = matrix.shape
    if method == "auto" and stream is not None:
        method = "tsqr"
    elif kind.on_device:
        method = _device_method(method, check_finite=check_finite)
    elif method == "auto":
        method = "cholesky" if m >= 2 * n and matrix.dtype.kind != "c" else "householder"
    if stream is not None and method != "tsqr":
        raise InputError(f"method: expected 'tsqr' or 'auto' for a stream of rows, got {method!r}")
    drawn = seed_from(rng)  # checked on every route
    seed = drawn if method == "cholesky" else None
    Q: Any
    try:
        if stream is not None:
            Q, R, path = tsqr_stream(stream, with_q=mode != "r")
        elif method == "tsqr":
            Q, R, path = tsqr(matrix, with_q=mode != "r", name="A")
        elif seed is None:
            path = "householder"
            Q, R = kernels.householder_qr(matrix, name="A")
        else:
            Q, R, path = cholesky(matrix, seed)
    except NonFiniteError:
        if check_finite:
            raise
        k, path = min(m, n), "non-finite"
        Q, R = np.full((m, k), np.nan, matrix.dtype), np.full((k, n), np.nan, matrix.dtype)
    else:
        require_range(R, matrix)
    Q = None if mode == "r" else Q
    sketched = path == "sketch+cholesky"
    info = Info(
        rank=min(m, n),
        method=method,
        path=path,
        sketch="sparse_sign" if sketched else None,
        seed=seed,
        stream_version=None if seed is None else STREAM_VERSION,
    )
    with runtime().on(matrix) if kind.on_device else contextlib.nullcontext():
        Q, R = namespace.restore_all(kind, Q, R)
    return QRResult(Q, R, info=info)


def _matrix_of(A: Any) -> Any:
    """The entries, on the host or where they are on a GPU."""
    entries, dtype = validate.native_array(dense_entries(A), name="A", ndim=2)
    return entries if is_device(entries) else validate.native(entries, dtype)


def _device_method(method: str, *, check_finite: bool) -> str:
    if method not in ("auto", "cholesky"):
        raise InputError(f"method: expected 'cholesky' or 'auto' for an array on a GPU, got {method!r}")
    if not check_finite:
        raise InputError("check_finite: expected True for an array on a GPU, got False")
    return "cholesky"


def cholesky(matrix: Any, seed: int) -> tuple[Any, Any, str]:
    """The Cholesky route, on the device of the matrix."""
    if not is_device(matrix):
        return kernels.cholesky_qr(matrix, seed=seed, name="A")
    with runtime().on(matrix):
        Q, R, path = kernels.cholesky_qr(matrix, seed=seed, name="A")
        return Q, R.astype(Q.dtype), path


def _stream_of(A: Any, method: str, *, check_finite: bool) -> RowStream | None:
    """The stream that `A` is or, for "tsqr", that a memmap can be read as."""
    if isinstance(A, RowStream):
        return A
    if method == "tsqr" and isinstance(A, np.ndarray) and A.ndim == 2 and A.dtype.kind in "biufc":
        op = as_operator(A, check_finite=check_finite)
        return op if isinstance(op, RowStream) else None
    return None


def require_range(R: Any, A: Any) -> None:
    if not np.isfinite(R).all():
        raise InputError(f"A: the norm of a column exceeds the range of {A.dtype}; scale A down")
