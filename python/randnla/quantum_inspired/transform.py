# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Singular value transformation: functions of a matrix on what was sampled of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .combination import SQCombination
from .factored import SQFactored
from .low_rank import product_by_rows, shifted
from .sketch import Core, Frame, check_form, check_method, check_sizes, core, draw_columns, frame
from .source import Source
from .sq_matrix import SQMatrix, as_sq
from .stacks import whole

Array = NDArray[Any]
Function = Callable[[Array], Any]
BLOCK = (50, 100)  # rows and columns that the error of an odd transformation is measured on


class EvenSVT:
    """``f(A^H A) ~ R^H M R + shift I``; made by `even_svt`, of A as it is: after an update it is refused.

    Attributes
    ----------
    shape : (n, n)
    factored : SQFactored
        ``R^H M R``, with sampling and query access.
    shift : float
        f(0).
    vectors : array of shape (n, k) or None
        Orthonormal right singular vectors, where they were made.
    gains : array of shape (k,)
        ``f - f(0)`` at the squared singular values.
    info : Info

    Examples
    --------
    >>> A = np.outer(np.ones(30), np.arange(20.0))
    >>> P = even_svt(SQMatrix(A), lambda x: 1.0 * (x > 1.0), rank=1, rng=0)
    >>> P.shift, bool(np.isclose(P.query(3, 4), 12 / 2470))
    (0.0, True)
    """

    def __init__(self, found: Core, turned: Frame, gains: Array, shift: float, info: Info) -> None:
        units = math.ldexp(1.0, -found.A.exponent)
        T = turned.T * units
        self.factored = SQFactored(found.R, (T * gains) @ T.conj().T, found.R)
        self.vectors, self.gains, self.shift, self.info = turned.orthonormal, gains, shift, info
        self.shape, self._rows = self.factored.shape, found.R

    def __matmul__(self, b: Any) -> Array:
        """``f(A^H A) @ b``, b (n,) or (n, l)."""
        self._rows.require_current()
        array = validate.as_array(b, name="b", ndim=(1, 2))
        if array.shape[0] != self.shape[1]:
            raise InputError(f"b: expected {self.shape[1]} rows, got {array.shape[0]}")
        if self.vectors is None:
            return np.asarray(self.factored @ array + self.shift * array)
        inner = self.vectors.conj().T @ array
        weighted = self.gains * inner if array.ndim == 1 else self.gains[:, None] * inner
        return np.asarray(self.vectors @ weighted + self.shift * array)

    def apply(self, b: Any) -> SQCombination:
        """``(f(A^H A) - f(0)) @ b`` with sampling and query access."""
        return self.factored.apply(b)

    def query(self, i: Any, j: Any) -> Any:
        """Entry (i, j), or those of two arrays of indices."""
        return self.factored.query(i, j) + self.shift * np.equal(i, j)

    def to_dense(self) -> Array:
        """The (n, n) array."""
        return self.factored.to_dense() + self.shift * np.eye(self.shape[0])


class OddSVT:
    """``f(A) = U f(Sigma) V^H ~ L^H M R``; made by `odd_svt`, of A as it is: after an update it is refused.

    Attributes
    ----------
    shape : (m, n)
    factored : SQFactored
    info : Info

    Examples
    --------
    >>> A = np.outer(np.ones(4), np.arange(1.0, 4.0))
    >>> S = odd_svt(SQMatrix(A), np.sign, rank=1, rng=0)
    >>> bool(np.allclose(S.to_dense(), A / np.linalg.norm(A)))
    True
    """

    def __init__(self, factored: SQFactored, info: Info) -> None:
        self.factored, self.info = factored, info
        self.shape = factored.shape

    @property
    def H(self) -> OddSVT:
        """The adjoint."""
        return OddSVT(self.factored.H, self.info)

    def __matmul__(self, b: Any) -> Array:
        """``f(A) @ b``."""
        return np.asarray(self.factored @ b)

    def apply(self, b: Any) -> SQCombination:
        """``f(A) @ b`` with sampling and query access."""
        return self.factored.apply(b)

    def query(self, i: Any, j: Any) -> Any:
        """Entry (i, j), or those of two arrays of indices."""
        return self.factored.query(i, j)

    def sample(self, size: int = 1, *, rng: Any = None) -> tuple[Array, Array]:
        """Indices of entries by their squares."""
        return self.factored.sample(size, rng=rng)

    def to_dense(self) -> Array:
        """The (m, n) array."""
        return self.factored.to_dense()


def even_svt(
    A: Any,
    f: Function,
    *,
    rank: int | None = None,
    method: str = "auto",
    form: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    threshold: float = 0.0,
    rng: Any = None,
) -> EvenSVT:
    """``f(A^H A)`` from sampled rows, or rows and columns.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (m, n)
    f : callable
        Takes an array of nonnegative numbers, returns as many real ones. ``f(0)`` is a multiple of the
        identity, the rest is of low rank.
    rank : int, optional
        Directions to keep at most; None keeps all that the sketch resolves.
    method : {"auto", "rows", "double"}
        "rows" uses the sampled rows whole, r n entries; "double" decides from sampled columns of them, r c
        entries. "auto" is "rows" up to n = 1e5.
    form : {"auto", "orthonormal", "sampled"}
        "sampled" uses the vectors ``R^H W / sigma`` as the paper does. "orthonormal" orthogonalizes and turns
        them, which removes most of what "double" loses but reads the rows whole.
    rows, columns : int, optional
        How many are drawn: ``max(20 k, 4 k log k, 200)``, 400 without a rank, half of what there is at most.
    threshold : float
        Singular values of the sketch below this part of the largest are dropped.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    EvenSVT
        ``info.error_estimate`` is the root of the mean square of the error of ``R^H R``, in the Frobenius
        norm, times the steepest slope of f between the singular values that were found: for f with that
        Lipschitz constant a bound of the root mean square of the error, truncation left out.

    Raises
    ------
    InputError
        An argument is out of range, or f returns something else.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Theorem 5.1:
    ``R^H fbar(C C^H) R + f(0) I`` with ``fbar(x) = (f(x) - f(0)) / x``.

    *Cost*: 2 r^2 n flops ("rows") or 2 r^2 c ("double"), r^3 for the singular values.

    Examples
    --------
    >>> A = np.random.default_rng(0).standard_normal((500, 3)) @ np.eye(3, 100)
    >>> X = even_svt(SQMatrix(A), lambda x: 1 / (x + 1.0), rank=3, rng=0)
    >>> exact = np.linalg.inv(A.T @ A + np.eye(100))
    >>> bool(np.linalg.norm(X.to_dense() - exact) < 1e-3)
    True
    """
    sketched = _sketched(A, rank, method, form, rows, columns, threshold, rng)
    found, turned = sketched.found, sketched.turned
    squares = np.ldexp(turned.s**2, 2 * found.A.exponent)
    shift = float(values_of(f, np.zeros(1))[0])
    gains = values_of(f, squares) - shift
    error = _slope(squares, gains) * gram_error(found)
    info = sketched.info("even singular value transformation", sketched.path, error, sketched.entries)
    return EvenSVT(found, turned, gains, shift, info)


def odd_svt(
    A: Any,
    f: Function,
    *,
    rank: int | None = None,
    method: str = "auto",
    form: str = "auto",
    left: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    threshold: float = 0.0,
    rng: Any = None,
) -> OddSVT:
    """``f(A) = U f(Sigma) V^H`` of an odd function from sampled rows and columns.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (m, n)
    f : callable
        Takes an array of positive singular values, returns as many real numbers.
    rank, method, form, rows, columns, threshold, rng
        As for `even_svt`.
    left : {"auto", "exact", "sampled"}
        "exact" multiplies A by the right singular vectors, one pass over A, and takes f of the singular
        values of that product. "sampled" uses sampled columns of A: the product is then of the form C U R.
        "auto" is "exact" for `method` "rows".

    Returns
    -------
    OddSVT
        ``info.error_estimate`` is the Frobenius norm of A less what stands for it, measured on 50 fresh rows
        and 100 columns, times the steepest slope of f between zero and the singular values that were found:
        for f with that Lipschitz constant, odd and zero beyond them, a bound of the error. ``info.entries``
        counts what was read of A for the result, not for that.

    Raises
    ------
    InputError
        An argument is out of range, or f returns something else.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Theorem 5.2, with columns drawn by the
    lengths of those of R. Directions outside of the sketch are mapped to zero.

    *Cost*: that of `even_svt`, and 2 m n k flops or m c entries.

    Examples
    --------
    >>> A = np.random.default_rng(0).standard_normal((60, 2)) @ np.eye(2, 40)
    >>> pinv = odd_svt(SQMatrix(A), lambda s: 1 / s, rank=2, rng=0).H
    >>> bool(np.allclose(pinv.to_dense(), np.linalg.pinv(A)))
    True
    """
    validate.choice(left, ("auto", "exact", "sampled"), name="left")
    sketched = _sketched(A, rank, method, form, rows, columns, threshold, rng)
    found, turned = sketched.found, sketched.turned
    side = left if left != "auto" else ("exact" if found.path == "rows" else "sampled")
    if side == "exact":
        B = product_by_rows(found.A, turned.vectors(found))
    else:
        B = _product_by_columns(sketched)
    if turned.orthonormal is None:  # R^H T is oblique: A R^H T has to be, too
        s, values = turned.s, values_of(f, np.ldexp(turned.s, found.A.exponent))
        factored = _joined(B, np.diag(values / s), turned.T, found)
    else:
        U, s, middle, values = _of_product(B, f, found.A.exponent)
        factored = _joined(U, middle, turned.T, found)
    entries = sketched.entries
    error = _slope(np.ldexp(s, found.A.exponent), values) * _held_out(sketched, B)
    path = f"{sketched.path}, {side} left"
    info = sketched.info("odd singular value transformation", path, error, entries)
    return OddSVT(factored, info)


@dataclass
class _Sketched:
    """What was drawn of A and found in it, and how to go on."""

    found: Core
    turned: Frame
    columns: int
    source: Source
    path: str
    before: int

    @property
    def entries(self) -> int:
        """Those that were read of A so far."""
        return self.found.A.entries_read - self.before

    def info(self, method: str, path: str, error: float, entries: int) -> Info:
        return Info(
            rank=self.turned.s.size,
            method=method,
            sketch=self.found.path,
            error_estimate=error,
            error_kind="frobenius",
            certificate="first order",
            entries=entries,
            seed=self.source.seed,
            path=path,
            stream_version=STREAM_VERSION,
        )


def _sketched(
    given: Any, rank: Any, method: Any, form: Any, rows: Any, columns: Any, threshold: Any, rng: Any
) -> _Sketched:
    A = as_sq(given)
    k = None if rank is None else validate.rank(rank, min(A.shape))
    form, method = check_form(form, A), check_method(method)
    r, c = check_sizes(A, k, rows, columns)
    cut = arguments.fraction(threshold, name="threshold")
    source, before = Source(rng), A.entries_read
    found = core(A, source, method=method, rows=r, columns=c, rank=k, threshold=cut)
    return _Sketched(found, frame(found, form), c, source, f"{found.path}, {form}", before)


def _product_by_columns(sketched: _Sketched) -> Array:
    """A V from the columns C = A S of A alone, drawn by the lengths of those of R."""
    found, turned = sketched.found, sketched.turned
    A = found.A
    if found.R.count == 0:
        return np.zeros((A.shape[0], 0))
    if found.columns is None or found.scales is None:
        picked, scales, _ = draw_columns(found.R, sketched.columns, sketched.source)
    else:
        picked, scales = found.columns, found.scales
    units = math.ldexp(1.0, -A.exponent)
    C = A.block(np.arange(A.shape[0]), picked) * (scales * units)
    # S^H V, whose products with C are A V on average ...
    inner = (found.R.at(picked) * units).conj().T @ turned.T * scales[:, None]
    if turned.orthonormal is None:
        return np.asarray(C @ inner)
    # ... but A Q = C (Q^H S)^+ exactly where the rows of A lie in the range of Q.
    return np.asarray(C @ np.linalg.pinv(inner.conj().T))


def _of_product(B: Array, f: Function, exponent: int) -> tuple[Array, Array, Array, Array]:
    """f(B) = U middle, the singular values and f of them."""
    U, s, Zh = np.linalg.svd(B, full_matrices=False)
    keep = s > 1e-15 * s[0] if s.size else np.zeros(0, bool)
    values = values_of(f, np.ldexp(s[keep], exponent))
    return U[:, keep], s[keep], values[:, None] * Zh[keep], values


def _held_out(sketched: _Sketched, B: Array) -> float:
    """||A - B V^H||_F from a block of fresh rows and columns; of its square, without bias.

    Rows are drawn by their lengths, half of the columns by those of R and half uniformly.
    """
    found, turned, source = sketched.found, sketched.turned, sketched.source
    A, R, n = found.A, found.R, found.A.shape[1]
    if R.count == 0:
        return 0.0
    rows = A.draw_rows(BLOCK[0], source, source.take())
    half = BLOCK[1] // 2
    which = np.minimum((source.uniforms(source.take(), half) * R.count).astype(np.int64), R.count - 1)
    anywhere = np.minimum((source.uniforms(source.take(), half) * n).astype(np.int64), n - 1)
    columns = np.concatenate([R.draw(which, source, source.take(), 0), anywhere])
    units = math.ldexp(1.0, -A.exponent)
    part = R.at(columns) * units
    chance = (np.abs(part) ** 2).sum(axis=0) / (2 * A.weight) + 1 / (2 * n)
    chance = (A.row_weights(rows) / A.weight)[:, None] * chance
    off = A.block(rows, columns) * units - B[rows] @ (turned.T.conj().T @ part)
    return shifted(math.sqrt(float(np.mean(np.abs(off) ** 2 / chance))), A.exponent)


def _joined(left: Array, middle: Array, T: Array, found: Core) -> SQFactored:
    """left middle (R^H T)^H, left (m, a)."""
    rows = whole(SQMatrix(np.ascontiguousarray(left.conj().T)))
    units = math.ldexp(1.0, -found.A.exponent)
    return SQFactored(rows, middle @ (T * units).conj().T, found.R)


def values_of(f: Function, x: Array) -> Array:
    """f at all x.

    Raises
    ------
    InputError
        It is not callable or does not return as many finite real numbers.
    """
    if not callable(f):
        raise InputError(f"f: expected a callable, got {type(f).__name__}")
    if x.size == 0:
        return np.zeros(0)
    values = np.asarray(f(x))
    if values.shape != x.shape or values.dtype.kind not in "fiub":
        raise InputError(f"f: expected {x.size} real numbers, got shape {values.shape}, {values.dtype}")
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(f"f: expected finite values, got {values[bad][0]} at {x[bad][0]}")
    return values.astype(np.float64)


def gram_error(found: Core) -> float:
    """Root of the mean of ``||R^H R - A^H A||_F^2``, which is (||A||_F^4 - ||A^H A||_F^2) / r, estimated."""
    if found.R.count == 0:
        return 0.0
    inner = float((found.sigma**4).sum())
    squared = max(found.A.weight**2 - inner, 0.0) / found.R.count
    return shifted(math.sqrt(squared), 2 * found.A.exponent)


def _slope(squares: Array, gains: Array) -> float:
    """The steepest secant of f through zero and the points found."""
    x = np.concatenate([np.zeros(1), squares])
    y = np.concatenate([np.zeros(1), gains])
    order = np.argsort(x, kind="stable")
    dx, dy = np.diff(x[order]), np.abs(np.diff(y[order]))
    apart = dx > 1e-8 * x.max(initial=0.0)
    return float((dy[apart] / dx[apart]).max(initial=0.0))
