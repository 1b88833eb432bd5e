# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Test matrices by formula: known singular values, and the classics that pivoting and sketching stumble over.

Random ones are functions of the seed `rng`. Their streams are their own: a decomposition with the same seed
draws numbers that do not depend on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import qr
from randnla._backend.rng import seed_from
from randnla.sketching import Gaussian

Array = NDArray[Any]

# Streams of the random factors, far from those that decompositions draw.
_LEFT, _RIGHT, _NOISE, _ROWS = ((1 << 40) + i for i in range(4))


def with_singular_values(
    s: npt.ArrayLike, m: int, n: int, *, rng: Any = None, dtype: npt.DTypeLike = np.float64
) -> Array:
    """Random m x n matrix ``U diag(s) V^T`` with the singular values `s`, U and V orthonormal.

    Parameters
    ----------
    s : array of shape (k,), k <= min(m, n)
        Nonnegative and finite, in any order.
    m, n : int
        Shape.
    rng : int, SeedSequence, Generator or None
        Seed of U and V, bases of uniformly random subspaces.
    dtype : {float32, float64}
        Of the result, which is computed in float64.

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        `s` is longer than min(m, n), negative, or not finite; a size or `dtype` does not fit.

    Notes
    -----
    *Cost*: 2 m n k flops and two QR factorizations.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import with_singular_values
    >>> A = with_singular_values([3.0, 2.0, 1.0], 6, 4, rng=0)
    >>> np.linalg.svd(A, compute_uv=False).round(12)
    array([3., 2., 1., 0.])
    """
    m = validate.integer(m, name="m", low=1)
    n = validate.integer(n, name="n", low=1)
    kind = validate.map_dtype(dtype)
    values = np.asarray(s, dtype=np.float64)
    if values.ndim != 1 or not values.size <= min(m, n):
        raise InputError(f"s: expected at most min(m, n) = {min(m, n)} values, got shape {values.shape}")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError("s: expected nonnegative finite values")
    seed = seed_from(rng)
    U = _orthonormal(m, values.size, seed, _LEFT)
    V = _orthonormal(n, values.size, seed, _RIGHT)
    return np.asarray((U * values) @ V.T).astype(kind)


def _orthonormal(rows: int, columns: int, seed: int, stream: int) -> Array:
    # Q of a Gaussian matrix with a nonnegative diagonal of R is uniform.
    if columns == 0:
        return np.zeros((rows, 0))
    return qr.householder_qr(Gaussian(columns, rows, rng=seed, stream=stream).to_dense().T)[0]


def polynomial(
    m: int, n: int, *, power: float = 1.0, rng: Any = None, dtype: npt.DTypeLike = np.float64
) -> Array:
    """Random matrix with singular values ``j^-power``, j = 1, 2, ..., min(m, n).

    Parameters
    ----------
    m, n, rng, dtype
        As for `with_singular_values`.
    power : float, default 1
        Rate of decay, not negative.

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: 2 m n min(m, n) flops and two QR factorizations.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import polynomial
    >>> np.linalg.svd(polynomial(5, 3, power=2.0, rng=0), compute_uv=False).round(4)
    array([1.    , 0.25  , 0.1111])
    """
    power = validate.real(power, name="power", low=0.0)
    return with_singular_values((1.0 + np.arange(_short(m, n))) ** -power, m, n, rng=rng, dtype=dtype)


def exponential(
    m: int, n: int, *, ratio: float = 0.8, rng: Any = None, dtype: npt.DTypeLike = np.float64
) -> Array:
    """Random matrix with singular values ``ratio^j``, j = 0, 1, ..., min(m, n) - 1.

    Parameters
    ----------
    m, n, rng, dtype
        As for `with_singular_values`.
    ratio : float, default 0.8
        Of neighboring values, in [0, 1].

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: 2 m n min(m, n) flops and two QR factorizations.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import exponential
    >>> np.linalg.svd(exponential(5, 3, ratio=0.5, rng=0), compute_uv=False).round(12)
    array([1.  , 0.5 , 0.25])
    """
    ratio = validate.real(ratio, name="ratio", low=0.0, high=1.0)
    return with_singular_values(ratio ** np.arange(_short(m, n)), m, n, rng=rng, dtype=dtype)


def step(
    m: int, n: int, *, rank: int, low: float = 1e-3, rng: Any = None, dtype: npt.DTypeLike = np.float64
) -> Array:
    """Random matrix with `rank` singular values 1 and all others `low`.

    Parameters
    ----------
    m, n, rng, dtype
        As for `with_singular_values`.
    rank : int
        Values that are 1.
    low : float, default 1e-3
        The others, in [0, 1].

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: 2 m n min(m, n) flops and two QR factorizations.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import step
    >>> np.linalg.svd(step(5, 4, rank=2, low=0.1, rng=0), compute_uv=False).round(12)
    array([1. , 1. , 0.1, 0.1])
    """
    short = _short(m, n)
    rank = validate.rank(rank, short)
    low = validate.real(low, name="low", low=0.0, high=1.0)
    return with_singular_values(np.where(np.arange(short) < rank, 1.0, low), m, n, rng=rng, dtype=dtype)


def staircase(
    m: int,
    n: int,
    *,
    stairs: int = 4,
    cond: float = 1e10,
    rng: Any = None,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Random matrix whose singular values fall from 1 to 1 / cond in equal plateaus.

    Rank decisions between plateaus are easy, those inside are not: pivoted QR is measured on it.

    Parameters
    ----------
    m, n, rng, dtype
        As for `with_singular_values`.
    stairs : int, default 4
        Number of plateaus, between 2 and min(m, n).
    cond : float, default 1e10
        Condition number, at least 1.

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: 2 m n min(m, n) flops and two QR factorizations.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import staircase
    >>> np.linalg.svd(staircase(6, 4, stairs=2, cond=100.0, rng=0), compute_uv=False).round(12)
    array([1.  , 1.  , 0.01, 0.01])
    """
    short = _short(m, n)
    stairs = validate.integer(stairs, name="stairs", low=2, high=short)
    cond = validate.real(cond, name="cond", low=1.0)
    s = cond ** (-(np.arange(short) * stairs // short) / (stairs - 1))
    return with_singular_values(s, m, n, rng=rng, dtype=dtype)


def spiked(
    m: int,
    n: int,
    *,
    spikes: int | None = None,
    scale: float = 1e3,
    rng: Any = None,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Orthonormal columns with a few rows magnified: a coherent matrix.

    All the weight lies in a few rows, of leverage score near 1: uniform sampling of rows misses them.

    Parameters
    ----------
    m, n, rng, dtype
        As for `with_singular_values`; m >= n.
    spikes : int, optional
        Rows that are magnified; n / 2 unless given, at most m.
    scale : float, default 1e3
        What they are multiplied by.

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: 4 m n^2 flops.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import spiked
    >>> A = spiked(100, 6, spikes=3, rng=0)
    >>> int((np.linalg.norm(A, axis=1) > 10).sum())
    3
    """
    if not _short(m, n) == n:
        raise InputError(f"m: expected at least n = {n}, got {m}")
    count = validate.integer(n // 2 if spikes is None else spikes, name="spikes", low=0, high=m)
    scale = validate.real(scale, name="scale")
    kind = validate.map_dtype(dtype)
    seed = seed_from(rng)
    A = _orthonormal(m, n, seed, _LEFT)
    A[_distinct(count, m, seed)] *= scale
    return np.asarray(A, dtype=kind)


def _distinct(count: int, m: int, seed: int) -> Array:
    """`count` distinct rows of m: the order of random keys decides."""
    keys = Gaussian(1, m, rng=seed, stream=_ROWS).to_dense()[0]
    return np.argsort(keys, kind="stable")[:count]


def low_rank_plus_noise(
    m: int,
    n: int,
    rank: int,
    *,
    noise: float = 1e-2,
    rng: Any = None,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """A random projection of rank `rank` plus Gaussian noise: what data are often taken for.

    Parameters
    ----------
    m, n, rng, dtype
        As for `with_singular_values`.
    rank : int
        Singular values of the signal, all 1.
    noise : float, default 1e-2
        Expected Frobenius norm of the noise, relative to the signal's sqrt(rank).

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: 2 m n rank flops.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import low_rank_plus_noise
    >>> s = np.linalg.svd(low_rank_plus_noise(60, 40, 3, rng=0), compute_uv=False)
    >>> bool(s[2] > 0.9 and s[3] < 0.01)
    True
    """
    rank = validate.rank(rank, _short(m, n))
    noise = validate.real(noise, name="noise", low=0.0)
    kind = validate.map_dtype(dtype)
    seed = seed_from(rng)
    signal = with_singular_values(np.ones(rank), m, n, rng=seed)
    # Entries of the map have variance 1/m: its Frobenius norm is sqrt(n) on average.
    E = Gaussian(m, n, rng=seed, stream=_NOISE).to_dense()
    return np.asarray(signal + E * (noise * np.sqrt(rank / n))).astype(kind)


def kahan(
    n: int, *, theta: float = 1.2, perturbation: float = 25.0, dtype: npt.DTypeLike = np.float64
) -> Array:
    """Kahan's triangular matrix, on which QR with column pivoting overestimates the least singular value.

    Parameters
    ----------
    n : int
        Side.
    theta : float, default 1.2
        Angle in (0, pi): ``diag(1, s, ..., s^(n-1)) (I - c N)``, s and c its sine and cosine, N ones above
        the diagonal.
    perturbation : float, default 25
        ``perturbation u (n, n-1, ..., 1)`` is added to the diagonal, u the unit roundoff of float64, so
        that rounding interchanges no columns.
    dtype : {float32, float64}

    Returns
    -------
    ndarray, shape (n, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Kahan (1966), Numerical linear algebra; the perturbation is Higham's.

    *Cost*: the result.

    Examples
    --------
    >>> from randnla.datasets import kahan
    >>> kahan(3, theta=0.5).round(2)
    array([[ 1.  , -0.88, -0.88],
           [ 0.  ,  0.48, -0.42],
           [ 0.  ,  0.  ,  0.23]])
    """
    n = validate.integer(n, name="n", low=1)
    theta = validate.real(theta, name="theta", low=0.0, high=float(np.pi))
    perturbation = validate.real(perturbation, name="perturbation", low=0.0)
    kind = validate.map_dtype(dtype)
    A = np.eye(n) - np.cos(theta) * np.triu(np.ones((n, n)), 1)
    A *= (np.sin(theta) ** np.arange(n))[:, None]
    A[np.diag_indices(n)] += perturbation * 2.0**-53 * np.arange(n, 0, -1)
    return np.asarray(A, dtype=kind)


def hilbert(m: int, n: int, *, dtype: npt.DTypeLike = np.float64) -> Array:
    """The Hilbert matrix, ``1 / (i + j + 1)``: singular values fall geometrically to rounding.

    Parameters
    ----------
    m, n : int
        Shape.
    dtype : {float32, float64}

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: the result.

    Examples
    --------
    >>> from randnla.datasets import hilbert
    >>> hilbert(2, 3)
    array([[1.        , 0.5       , 0.33333333],
           [0.5       , 0.33333333, 0.25      ]])
    """
    _short(m, n)
    kind = validate.map_dtype(dtype)
    return np.asarray(1.0 / (1.0 + np.arange(m)[:, None] + np.arange(n)[None, :])).astype(kind)


def laplace_single_layer(
    n: int = 200, *, target: str = "ellipse", dtype: npt.DTypeLike = np.float64
) -> Array:
    """Potentials on one closed curve of charges on another, scaled to spectral norm 1.

    The operator is smoothing: singular values fall geometrically, to 2e-5, 4e-9, 8e-13 and 3e-16 after 25,
    50, 75 and 100 for the ellipse.

    Parameters
    ----------
    n : int, default 200
        Points on each curve.
    target : {"ellipse", "star"}
        Curve around the unit circle that carries the charges: (1.98 cos t, 1.8 sin t), or the radius
        1.2 (1.15 + 0.15 cos 3t), which comes closer to the circle and decays slower.
    dtype : {float32, float64}

    Returns
    -------
    ndarray, shape (n, n)
        ``log |x_i - y_j|`` over its norm, at equidistant parameters.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: after the integral operator of Halko, Martinsson and Tropp (2011), section 7.1.

    *Cost*: one SVD of the result, for its norm.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import laplace_single_layer
    >>> s = np.linalg.svd(laplace_single_layer(), compute_uv=False)
    >>> bool(s[0] == 1 or abs(s[0] - 1) < 1e-14), bool(1e-5 < s[25] < 3e-5)
    (True, True)
    """
    n = validate.integer(n, name="n", low=1)
    validate.choice(target, ("ellipse", "star"), name="target")
    kind = validate.map_dtype(dtype)
    t = 2 * np.pi * np.arange(n) / n
    source = np.exp(1j * t)
    if target == "ellipse":
        place = 1.98 * np.cos(t) + 1.8j * np.sin(t)
    else:
        place = 1.2 * (1.15 + 0.15 * np.cos(3 * t)) * np.exp(1j * t)
    A = np.log(np.abs(place[:, None] - source[None, :]))
    return np.asarray(A / np.linalg.norm(A, 2)).astype(kind)


def _short(m: Any, n: Any) -> int:
    return min(validate.integer(m, name="m", low=1), validate.integer(n, name="n", low=1))
