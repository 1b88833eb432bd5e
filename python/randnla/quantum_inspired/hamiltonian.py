# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Time evolution under a Hamiltonian near low rank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import Info, SolveResult
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .low_rank import product_by_rows, shifted
from .sketch import check_method, check_sizes, core, frame
from .source import Source
from .sq_matrix import SQMatrix, as_sq

Array = NDArray[Any]
_PROBES = 64


def simulate_hamiltonian(
    H: Any,
    b: Any,
    t: float = 1.0,
    *,
    rank: int | None = None,
    form: str = "unitary",
    method: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    threshold: float = 0.0,
    rng: Any = None,
) -> SolveResult:
    """``exp(i H t) b`` from sampled rows of H.

    Parameters
    ----------
    H : SQMatrix, or an array to make one of, of shape (n, n)
        Hermitian; that is checked at 64 sampled entries.
    b : array of shape (n,)
    t : float
    rank : int, optional
        Directions to keep at most.
    form : {"unitary", "svt"}
        "unitary" exponentiates ``Q^H H Q`` with the right singular vectors Q, and keeps the norm of b to
        rounding. "svt" is the paper's: an even transformation for the cosine and an odd one for the sine, of
        the singular values of H Q.
    method, rows, columns, threshold, rng
        As for `even_svt`; the vectors are orthonormal.

    Returns
    -------
    SolveResult
        x (n,), complex. With "unitary", ``info.error_estimate`` bounds the 2-norm of the error by
        ``|t| |b| ||H - Q Q^H H Q Q^H||_F``, no probability involved. The norm comes of a difference of
        squares and is taken for no less than what that rounds off, ``4e-8 n**0.25`` of that of H.

    Raises
    ------
    InputError
        H is not square or not Hermitian, or an argument is out of range.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Section 6.7:
    ``exp(iH) b = b + (cos(sqrt(H^2)) - 1) b + i H sinc(sqrt(H^2)) b``.

    *Cost*: 2 r^2 n flops, and H once for its product with k vectors.

    Examples
    --------
    >>> H = np.outer([1.0, 1j], [1.0, -1j]) / 2
    >>> (x,) = simulate_hamiltonian(SQMatrix(H), [1.0, 0.0], np.pi, rank=1, rng=0)
    >>> bool(np.allclose(x, [0, -1j]))
    True
    """
    A = as_sq(H, name="H")
    if A.shape[0] != A.shape[1]:
        raise InputError(f"H: expected a square matrix, got shape {A.shape}")
    b = arguments.vector(b, A.shape[0], name="b")
    t = validate.real(t, name="t")
    validate.choice(form, ("unitary", "svt"), name="form")
    k = None if rank is None else validate.rank(rank, A.shape[0])
    r, c = check_sizes(A, k, rows, columns)
    cut = arguments.fraction(threshold, name="threshold")
    source, before = Source(rng), A.entries_read
    require_hermitian(A, source, name="H")
    found = core(A, source, method=check_method(method), rows=r, columns=c, rank=k, threshold=cut)
    turned = frame(found, "orthonormal")
    Q = turned.vectors(found)
    B = product_by_rows(A, Q)  # H Q
    inner = Q.conj().T @ b
    angle = shifted(t, A.exponent)
    if not math.isfinite(angle):
        raise InputError(f"t: expected H t in the range of float64, got t = {t}")
    error = None
    if form == "unitary":
        compressed = Q.conj().T @ B
        values, vectors = np.linalg.eigh((compressed + compressed.conj().T) / 2)
        phases = np.expm1(1j * angle * values)
        x = b + Q @ (vectors @ (phases * (vectors.conj().T @ inner)))
        lost = max(A.weight - float(np.linalg.norm(compressed)) ** 2, 0.0) + _rounding(A)
        error = abs(angle) * math.sqrt(lost) * float(np.linalg.norm(b))
    else:
        U, s, Zh = np.linalg.svd(B, full_matrices=False)
        turned_inner = Zh @ inner
        even = Zh.conj().T @ ((np.cos(angle * s) - 1) * turned_inner)
        x = b + Q @ even + 1j * (U @ (np.sin(angle * s) * turned_inner))
    info = Info(
        rank=turned.s.size,
        method="singular value transformation",
        sketch=found.path,
        error_estimate=error,
        error_kind="spectral" if error is not None else None,
        certificate="exact" if error is not None else None,
        entries=A.entries_read - before,
        seed=source.seed,
        path=f"{found.path}, {form}",
        stream_version=STREAM_VERSION,
    )
    return SolveResult(x.astype(np.complex128), info=info)


def _rounding(A: SQMatrix) -> float:
    """What a difference of the squared norms of A and of its compression may be wrong by."""
    return 8 * math.sqrt(A.shape[0]) * float(np.finfo(np.float64).eps) * A.weight


def require_hermitian(A: SQMatrix, source: Source, *, name: str) -> None:
    """Look at some entries and their mirror images.

    Raises
    ------
    InputError
        One is not the conjugate of the other.
    """
    if not A.weight > 0:
        return
    i = A.draw_rows(_PROBES, source, source.take())
    j = A.draw_columns(i, source, source.take())
    one, other = A.query(i, j), A.query(j, i)
    off = np.abs(one - np.conj(other)) > 1e-6 * np.abs(one)
    if off.any():
        at = int(np.argmax(off))
        raise InputError(
            f"{name}: expected a Hermitian matrix, got {one[at]} and {other[at]} at {i[at], j[at]}"
        )
