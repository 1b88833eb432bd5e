# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The deterministic routes: eigenvectors of a Gram matrix, and all of LAPACK."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.kernels import dense, qr
from randnla.operators import LinearOperator

from .basis import orthonormalize
from .centered import Centered
from .error import frobenius
from .factor import narrow_product, require_symmetry, widen
from .plan import SMALL_FULL
from .problem import Problem
from .scaling import Array, exponent_of, normalize, scale_by_power, unit_roundoff, vector_norm

SMALL_GRAM = 1 << 22
"""Multiply-adds up to which a float32 Gram matrix is made in float64: faster than asking what it lost."""

# Of the compiled sums: slabs of rows, each with a total of its own (and one in float32), their bytes, and the
# least rows of one.
_SLABS = 32
_SLAB_BYTES = 32 << 20
_SLAB_ROWS = 1024


def has_gram(op: LinearOperator) -> bool:
    """Whether entries can be read: an array, or a tall stream of rows."""
    if hasattr(op, "gram_blocks"):
        base: Any = op
        return bool(base.readable) and (hasattr(base.base, "array") or op.shape[0] >= op.shape[1])
    if hasattr(op, "array"):
        return True
    return hasattr(op, "blocks") and op.shape[0] >= op.shape[1]


def takes_float32_sums(op: LinearOperator) -> bool:
    """Whether the Gram matrix may be summed in float32 over stretches of rows: a real tall float32 array."""
    if not hasattr(op, "array") and not _is_tall_centered(op):
        return False
    return np.dtype(op.dtype) == np.float32


def _is_tall_centered(op: LinearOperator) -> bool:
    base = getattr(op, "base", None)
    return isinstance(op, Centered) and hasattr(base, "array") and op.shape[0] >= op.shape[1]


def gram_matrix(problem: Problem, *, wide: bool = True) -> tuple[Array, int] | None:
    """G = 2^(-2e) A^H A in float64, or A A^H if A is wide, and e; one pass over A.

    With ``wide=False`` float32 products are summed in float32 over stretches of rows. None where the
    squares leave the range.
    """
    op: Any = problem.op
    # G, its eigenvectors and a copy inside the eigensolver, in float64; before them, sums of slabs of rows.
    square = (16 if problem.dtype.kind == "c" else 8) * min(problem.shape) ** 2
    slabs = max(1, min(_SLABS, max(problem.shape) // _SLAB_ROWS))
    problem.hold(max(3 * square, min(slabs * square, _SLAB_BYTES) * (3 if not wide else 2) // 2))
    problem.passes += 1
    problem.matvecs += min(problem.shape)
    if hasattr(op, "array"):
        G = dense.moments(op.array if op.shape[0] >= op.shape[1] else op.array.conj().T, wide=wide)[0]
    elif _is_tall_centered(op):
        G = op.moments(wide=wide)
    else:
        G = _streamed_gram(op)
    top = float(np.diagonal(G).real.max(initial=0.0))
    low, high = (2.0**-800, 2.0**800) if wide else (2.0**-90, 2.0**110)
    if not low < top < high:
        # Squares of small entries vanish, so that nothing is known of a zero but of an array in range.
        return (G, 0) if top == 0 and hasattr(op, "array") else None
    if not np.isfinite(G).all():
        problem.refuse("Gram matrix")
    # An even exponent: half of it scales A exactly.
    half = exponent_of(top) // 2
    return scale_by_power(G, -2 * half), half


def _streamed_gram(op: LinearOperator) -> Array:
    source: Any = op
    short = min(op.shape)
    total: Array = np.zeros((short, short))
    blocks = source.gram_blocks() if hasattr(op, "gram_blocks") else (b for _, b in source.blocks())
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the sum
        for block in blocks:
            total = total + dense.gram(block, wide=True)
    return total


def spectrum_of_gram(G: Array, count: int) -> tuple[Array, Array]:
    """Squares of the singular values, descending, and `count` leading vectors of the short side."""
    w, V = qr.leading_eigh(G, count)
    # Rounding may leave values of either sign, which are in the order of their magnitudes.
    return np.sort(np.maximum(w, 0.0))[::-1], V


@dataclass(frozen=True)
class Spectrum:
    """What the Gram matrix tells of A."""

    squares: Array  # of the singular values in units of 2^exponent, descending
    vectors: Array  # of the short side, in the dtype of A
    exponent: int
    resolved: bool  # whether the leading vectors are as good as those of A itself
    roundoff: float  # of the type that products were summed in

    def cosine(self, rank: int) -> float:
        """A bound of |cos| between any two of the `rank` leading columns of A V.

        v_i^T (A^T A) v_j is an error of G, for V^T G V is diagonal.
        """
        least = float(self.squares[rank - 1]) if rank else 1.0
        return math.inf if least <= 0 else self.unknown**2 * float(self.squares.sum()) / least

    @property
    def unknown(self) -> float:
        """What of ||A||_F the rounding of G may hide."""
        return math.sqrt(_share(self.squares.size) * self.roundoff)

    @property
    def slack(self) -> float:
        """What the sum of the squares may miss of them, relative to it.

        Rounding spreads equal values, and the lesser of them are what is left out: in float64, their sum
        was up to 77 u short for 286 columns, 66 u for 700.
        """
        spread = 16 + self.squares.size / 2
        return max(self.roundoff, self.unknown**2, spread * unit_roundoff(np.float64))

    def spectrum(self, leading: Array, exponent: int) -> Array:
        """All singular values in units of 2^exponent: the leading ones as given, the others from here."""
        others = np.sqrt(self.squares[leading.size :])
        return np.concatenate([leading, np.ldexp(others, self.exponent - exponent)])


def leading_spectrum(problem: Problem, rank: int, count: int) -> Spectrum | None:
    """Eigenvalues and `count` vectors of the Gram matrix, its products widened where `rank` need it."""
    if not has_gram(problem.op):
        return None
    m, n = problem.shape
    worth = m * n * min(m, n) > SMALL_GRAM and takes_float32_sums(problem.op)
    for wide in (False, True) if worth else (True,):
        made = gram_matrix(problem, wide=wide)
        if made is None:
            continue
        squares, vectors = spectrum_of_gram(made[0], count)
        resolved = is_resolved(squares, rank, problem.dtype, wide=wide)
        if resolved or wide:
            problem.report("gram matrix")
            roundoff = unit_roundoff(np.float64 if wide else problem.dtype)
            return Spectrum(squares, vectors.astype(problem.dtype), made[1], resolved, roundoff)
        problem.path.append("widened")
    return None


def _share(n: int) -> float:
    """c of ||G - A^T A||_2 <= c u tr(G) for a matrix of n columns.

    Many roundings average out: measured is .1 from 5000 x 2000 to 200000 x 50, .3 where a mean of 3
    deviations stays in. With few columns all the variance may sit in one entry of G.
    """
    return 0.5 if n >= 40 else 4.0


def is_resolved(squares: Array, rank: int, dtype: np.dtype[Any], *, wide: bool) -> bool:
    """Whether `rank` vectors of the Gram matrix are as good as those of A itself.

    It is known to c u tr(G), u that of the type its products are summed in. In float64 that must vanish
    in the tail of a float64 matrix, and does vanish in the rounding of a float32 one.
    """
    total = float(squares.sum())
    tail = float(squares[rank:].sum())
    if total == 0.0 or (not wide and rank == squares.size):
        return True
    if wide:
        return np.dtype(dtype).type(0).real.itemsize == 4 or tail >= 1e-11 * total
    # The tail, and with it the certificate, must be known to 2 % (its root to 1 %), and the variance
    # that turned vectors lose must be at most 2 % of it. An error E of G turns v_i towards v_j by
    # e_ij / (l_i - l_j), which loses e_ij^2 / (l_i - l_j), at most l_i - l_j; rounding favors no pair,
    # so e_ij^2 is taken as its mean, at most ||E||_2^2 / n.
    size = _share(squares.size) * unit_roundoff(dtype) * total
    if tail < 50 * size:
        return False
    gaps = squares[:rank, None] - squares[None, rank:]
    lost = np.minimum(gaps, size**2 / squares.size / np.where(gaps > 0, gaps, 1.0))
    return float(lost.sum()) <= 0.02 * tail


def lift(problem: Problem, found: Spectrum, rank: int) -> tuple[Array, Array, Array, int]:
    """U, s, V and the exponent of s from the leading vectors that were found.

    Rayleigh-Ritz on A V: the values are accurate to second order in the error of V, and U is orthonormal
    also where s is small.
    """
    tall = problem.shape[0] >= problem.shape[1]
    V = found.vectors[:, :rank]
    product = problem.forward if tall else problem.adjoint
    if abs(found.exponent) < np.finfo(V.dtype).maxexp // 2:
        Y = product(V)
        exponent = normalize(Y) - problem.shift
    else:
        Y, exponent = problem.ranged(product, V)
    Q, R = orthonormalize(problem, Y)
    R = widen(R)
    if is_diagonal(R, problem.dtype):
        long, s, short = Q, np.diagonal(R).real.copy(), V
    else:
        X, s, Wh = qr.small_svd(R)
        long, short = narrow_product(Q, X), narrow_product(V, Wh.conj().T)
    return (long, s, short, exponent) if tall else (short, s, long, exponent)


def is_diagonal(R: Array, dtype: np.dtype[Any]) -> bool:
    """Whether a triangle is diag(s), s descending, to the rounding of the product it comes from.

    The columns of A V are orthogonal to the rounding of G. Where that is no more than the rounding of A V
    itself, another rotation would only move it.
    """
    d = np.diagonal(R).real.copy()
    if not (d[1:] <= d[:-1]).all():
        return False
    rest = R.copy()
    np.fill_diagonal(rest, 0)
    return frobenius(rest) <= 2 * unit_roundoff(dtype) * math.sqrt(d.size + 1) * vector_norm(d)


def _hold_full(problem: Problem) -> None:
    # A scaled copy and the factors of the long side; three squares of the short side in float64.
    m, n = problem.shape
    wide = 16 if problem.dtype.kind == "c" else 8
    problem.hold(2 * m * n * problem.dtype.itemsize + 3 * wide * min(m, n) ** 2)


def full_svd(problem: Problem, rank: int | None = None) -> tuple[Array, Array, Array, int]:
    """U, s, V by LAPACK, after a QR where A is far from square; `s` holds all values."""
    A = problem.op.to_dense()
    _hold_full(problem)
    problem.passes += 1
    problem.matvecs += min(problem.shape)
    seen = dense.screen(A)
    if not seen.finite:
        problem.refuse("largest entry")
    exponent = exponent_of(seen.max_abs)
    tall = A.shape[0] >= A.shape[1]
    long, short = max(A.shape), min(A.shape)
    # Of a few entries, a call saved is worth more than the flops.
    if long * short > 1 << 12 and long > 1.25 * short:
        X = scale_by_power(np.array(A if tall else A.conj().T, order="C"), -exponent)
        Q, R = orthonormalize(problem, X)
        W, s, Vh = qr.small_svd(widen(R) if short <= SMALL_FULL else R)
        U, V = narrow_product(Q, W[:, :rank]), Vh[:rank].conj().T
    else:  # a wide matrix by rows is a tall one to LAPACK, which is a tenth faster on those
        X = scale_by_power(np.array(A.conj().T if tall else A, order="C"), -exponent)
        W, s, Vh = qr.svd_in_place(widen(X) if short <= SMALL_FULL else X)
        U, V = Vh[:rank].conj().T, W[:, :rank]
    U, V = U.astype(problem.dtype, copy=False), V.astype(problem.dtype, copy=False)
    return (U, s, V, exponent) if tall else (V, s, U, exponent)


def full_eigh(problem: Problem, rank: int | None = None) -> tuple[Array, Array, int]:
    """All eigenvalues by LAPACK, by decreasing magnitude, and the leading vectors: `rank` of them, or all."""
    A = problem.op.to_dense()
    _hold_full(problem)
    problem.passes += 1
    problem.matvecs += A.shape[0]
    seen = dense.screen(A)
    if not seen.finite:
        problem.refuse("largest entry")
    exponent = exponent_of(seen.max_abs)
    X = scale_by_power(np.array(A), -exponent)
    require_symmetry(X, unit_roundoff(problem.dtype))
    X += X.conj().T
    X /= 2
    count = A.shape[0] if rank is None else rank
    w, V = qr.leading_eigh(widen(X) if A.shape[0] <= SMALL_FULL else X, count)
    return w, V.astype(problem.dtype, copy=False), exponent
