# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inner products, bilinear forms and matrix products from samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense
from randnla._backend.results import Estimate, Info
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .combination import SQCombination
from .results import ProductResult
from .sketch import sketch_rows
from .source import Source
from .sq_matrix import SQMatrix
from .sq_vector import SQVector
from .stacks import MatrixRows

Array = NDArray[Any]


def median_of_means(values: Array, groups: int) -> tuple[Any, float]:
    """The median of the means of groups, real and imaginary parts apart, and its standard error.

    The median of Gaussian means has the variance of their mean times pi / 2, but for one or two groups.
    """
    usable = values[: values.size // groups * groups].reshape(groups, -1)
    means = usable.mean(axis=1)
    deviation = float(np.sqrt(np.var(values, ddof=1) / usable.size)) if values.size > 1 else math.inf
    widening = 1.0 if groups <= 2 else math.sqrt(math.pi / 2)
    if np.iscomplexobj(values):
        return complex(np.median(means.real), np.median(means.imag)), deviation * widening
    return float(np.median(means)), deviation * widening


def inner_product(x: SQVector, y: Any, *, samples: int = 1000, groups: int = 1, rng: Any = None) -> Estimate:
    """``x^H y`` from entries of y where x is large.

    Parameters
    ----------
    x : SQVector
        Drawn from.
    y : SQVector, SQCombination or array of shape (n,)
        Read at the samples only.
    samples : int
        Entries drawn. The standard error is at most ``norm(x) norm(y) / sqrt(samples)``.
    groups : int
        The median of the means of that many groups. With 8 log(1/delta) groups the error exceeds twice the
        standard error of a group with probability delta at most, whatever the distribution.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    Estimate
        value, complex if x or y is, and std_error; ``info.entries`` are the entries of y that were read.

    Raises
    ------
    InputError
        The sizes differ, or there are fewer samples than groups.

    Notes
    -----
    *Algorithm*: Tang (STOC 2019), Proposition 4.2: ``Z = norm(x)^2 y_i / x_i`` with i drawn by
    ``|x_i|^2``.

    *Cost*: O(samples log n).

    Examples
    --------
    >>> x = np.arange(1.0, 1001.0)
    >>> value, error = inner_product(SQVector(x), x, rng=0)
    >>> bool(np.isclose(value, x @ x)), bool(error < 1e-3)
    (True, True)
    """
    if not isinstance(x, SQVector):
        raise InputError(f"x: expected an SQVector, got {type(x).__name__}")
    samples = validate.integer(samples, name="samples", low=2)
    groups = validate.integer(groups, name="groups", low=1, high=samples // 2)
    read = _reader(y, x.size, "y")
    source = Source(rng)
    info = Info(
        method="sampling",
        seed=source.seed,
        stream_version=STREAM_VERSION,
        entries=samples,
        error_kind="absolute",
    )
    norm = x.norm()
    if norm == 0.0:
        return Estimate(0.0, 0.0, info=info.replace(entries=0, error_estimate=0.0))
    i = x.draw(samples, source, source.take())
    # norm^2 / x_i as norm (norm / x_i): neither leaves float64 where the result does not.
    values = norm * (norm / x.query(i)) * np.asarray(read(i))
    value, deviation = median_of_means(values, groups)
    return Estimate(value, deviation, info=info.replace(error_estimate=deviation))


def bilinear_form(
    x: Any, A: SQMatrix, y: Any, *, samples: int = 1000, groups: int = 1, rng: Any = None
) -> Estimate:
    """``x^H A y`` from entries of A drawn by their squared moduli.

    Parameters
    ----------
    x : SQVector, SQCombination or array of shape (m,)
    A : SQMatrix of shape (m, n)
    y : SQVector, SQCombination or array of shape (n,)
    samples, groups, rng
        As for `inner_product`. The standard error is at most ``norm(A) norm(x) norm(y) / sqrt(samples)``.

    Returns
    -------
    Estimate
        ``info.entries`` are the entries of A that were read.

    Raises
    ------
    InputError
        The shapes do not agree.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Remark 4.13:
    ``Z = norm(A)^2 conj(x_i) y_j / conj(A_ij)``.

    *Cost*: O(samples log mn).

    Examples
    --------
    >>> A = np.outer(np.ones(50), np.arange(1.0, 41.0))
    >>> value, error = bilinear_form(np.ones(50), SQMatrix(A), np.arange(1.0, 41.0), rng=0)
    >>> bool(np.isclose(value, 50 * 22140.0)), bool(error < 1e-6)
    (True, True)
    """
    if not isinstance(A, SQMatrix):
        raise InputError(f"A: expected an SQMatrix, got {type(A).__name__}")
    samples = validate.integer(samples, name="samples", low=2)
    groups = validate.integer(groups, name="groups", low=1, high=samples // 2)
    read = [_reader(v, size, name) for v, size, name in ((x, A.shape[0], "x"), (y, A.shape[1], "y"))]
    source = Source(rng)
    before = A.entries_read
    info = Info(method="sampling", seed=source.seed, stream_version=STREAM_VERSION, error_kind="absolute")
    norm = A.norm()
    if norm == 0.0:
        return Estimate(0.0, 0.0, info=info.replace(entries=0, error_estimate=0.0))
    i = A.draw_rows(samples, source, source.take())
    j = A.draw_columns(i, source, source.take())
    entries = A.query(i, j)
    values = np.conj(np.asarray(read[0](i))) * np.asarray(read[1](j)) * norm * (norm / np.conj(entries))
    value, deviation = median_of_means(values, groups)
    return Estimate(
        value, deviation, info=info.replace(error_estimate=deviation, entries=A.entries_read - before)
    )


def _reader(v: Any, size: int, name: str) -> Callable[[Array], Any]:
    """The entries of a vector at some indices."""
    if not isinstance(v, (SQVector, SQCombination)):
        if isinstance(v, SQMatrix) or hasattr(v, "query"):
            raise InputError(f"{name}: expected an SQVector, SQCombination or array, got {type(v).__name__}")
        return arguments.vector(v, size, name=name).__getitem__
    if len(v) != size:
        raise InputError(f"{name}: expected {size} entries, got {len(v)}")
    return v.query


def approximate_product(X: Any, Y: Any, samples: int, *, rng: Any = None) -> ProductResult:
    """``X^H Y`` from rows drawn by the lengths of the rows of X.

    Parameters
    ----------
    X : SQMatrix of shape (m, p)
    Y : SQMatrix or array of shape (m, q)
    samples : int
        Rows drawn.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    ProductResult
        ``product`` (p, q). ``info.error_estimate`` is the root of the mean square of the error in the
        Frobenius norm, known but for ``norm(X^H Y)``, which is taken from the result.

    Raises
    ------
    InputError
        The shapes do not agree.

    Notes
    -----
    *Algorithm*: Drineas, Kannan and Mahoney, SIAM J. Comput. 36 (2006), 132-157; with probabilities from X
    alone the mean square of the error is exactly ``(||X||^2 ||Y||^2 - ||X^H Y||^2) / samples``.

    *Cost*: samples (p + q) entries, 2 samples p q flops.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((2000, 3))
    >>> (P,) = found = approximate_product(SQMatrix(X), X, 1000, rng=0)
    >>> bool(np.linalg.norm(P - X.T @ X) < 3 * found.info.error_estimate)
    True
    """
    if not isinstance(X, SQMatrix):
        raise InputError(f"X: expected an SQMatrix, got {type(X).__name__}")
    if not isinstance(Y, SQMatrix):
        Y = validate.as_array(Y, name="Y")
        validate.require_finite(Y, name="Y")
    if X.shape[0] != Y.shape[0]:
        raise InputError(f"Y: expected {X.shape[0]} rows, as X has, got {Y.shape[0]}")
    samples = validate.integer(samples, name="samples", low=1)
    source = Source(rng)
    before = X.entries_read
    R = sketch_rows(X, samples, source)
    if isinstance(Y, SQMatrix):
        right, size = MatrixRows(Y, R.rows, R.scales).dense(), Y.norm()
    else:
        right, size = Y[R.rows] * R.scales[:, None], float(np.linalg.norm(Y))
    found = dense.gemm(R.dense().conj().T, right.astype(np.result_type(right.dtype, R.dtype, np.float64)))
    squared = (X.norm() * size) ** 2 - float(np.linalg.norm(found)) ** 2
    info = Info(
        method="rows by length",
        seed=source.seed,
        stream_version=STREAM_VERSION,
        entries=X.entries_read - before + R.count * Y.shape[1],
        error_estimate=math.sqrt(max(squared, 0.0) / samples),
        error_kind="frobenius",
    )
    return ProductResult(found, info=info)
