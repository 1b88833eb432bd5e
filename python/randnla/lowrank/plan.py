# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which method runs: a pure function of shape, dtype, rank, tol and kind of input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RANGE_METHODS = ("auto", "proto", "power", "subspace", "krylov", "adaptive")
QB_METHODS = ("auto", "ei", "pass_efficient", "farpca")
SVD_METHODS = (
    "auto",
    "proto",
    "power",
    "subspace",
    "krylov",
    "row_extraction",
    "single_pass",
    "farpca",
    "gram",
    "full",
)
EIGH_METHODS = ("auto", "subspace", "krylov", "nystrom", "row_extraction", "one_pass", "full")
DEVICE_METHODS = ("subspace", "power", "proto")
"""Of `range_finder` and `svd` for arrays on a GPU; "auto" is the first."""
PCA_METHODS = tuple(method for method in SVD_METHODS if method != "single_pass")
SVD_POWER_ITERS = 2
"""q = 2 brings the Frobenius error within 1.02 of the optimum on every decaying spectrum tested."""


SMALL_FULL = 64
"""Up to this side "full" factors a float32 matrix in float64: it costs nothing."""


def sketch_size(rank: int, oversample: int, shape: tuple[int, int]) -> int:
    """Columns of the sketch: rank + oversample, at most min(m, n)."""
    return min(rank + oversample, *shape)


# Rates, in units of one multiply-add of a wide float32 product on AVX-512, measured on one thread;
# only their ratios matter and a factor of 1.5 in any of them moves no decision by more than 10 %.
_FLOAT64 = 2.0  # float64 products run at half the rate
_EIGEN = (12.0, 2500.0)  # syevd with vectors in float64: n^3 and n^2 times these
_EIGEN_NARROW = (7.0, 1500.0)  # the same in float32
_SVD = (26.0, 4000.0)  # gesdd of a square matrix in float64
_ORTH = 8.0  # orthogonalization of an m x l sketch: m l^2 times this
_LEAST = 45.0  # columns below which a product takes the time of reading A
_MEANS = 55.0  # column means of an array, for each entry
_CALL = 2.0e7  # fixed cost of a product and its orthogonalization in Python
_TINY = 2048  # entries up to which the number of calls decides: one of LAPACK's takes 25 us less


def costs(
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    rank: int,
    size: int,
    power_iters: int,
    *,
    centered: bool = False,
) -> dict[str, float]:
    """Modeled cost of the three routes to k singular triplets of a dense, maybe centered matrix."""
    long, short = max(shape), min(shape)
    width = 1.0 if np.dtype(dtype).itemsize == 4 else _FLOAT64
    rounds = power_iters + 1
    entries = float(long) * short
    subspace = rounds * (
        2 * width * entries * max(size, _LEAST) + _ORTH * width * (long + short) * size**2 + _CALL
    )
    gram = (
        width * entries * short / 2
        + _EIGEN[0] * short**3
        + _EIGEN[1] * short**2
        + width * entries * rank
        + _CALL
    )
    if centered:  # pca needs scores, no orthonormal factor; the Gram matrix comes with the means
        subspace += _MEANS * width * entries
    else:  # an orthonormal factor, and an SVD of its triangle
        gram += _ORTH * width * long * rank**2 + _SVD[0] * rank**3 + _SVD[1] * rank**2
    full = (
        _SVD[0] * short**3
        + _SVD[1] * short**2
        + (3 * _FLOAT64 * entries * short if long > short else 0.0)
        + _CALL
    )
    return {"subspace": subspace, "gram": gram, "full": full}


def choose_svd(
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    rank: int,
    size: int,
    power_iters: int,
    kind: str,
    *,
    centered: bool = False,
) -> str:
    """The cheapest route: subspace iteration, eigenvectors of a Gram matrix, or all of LAPACK.

    Sparse matrices and operators stay with products; what is read in row blocks takes the Gram route
    when the Gram matrix is cheaper than the passes.
    """
    if np.dtype(dtype).kind == "c" or kind in ("sparse", "operator"):
        return "full" if size >= min(shape) and max(shape) <= 4 * size else "subspace"
    if kind == "dense" and shape[0] * shape[1] <= _TINY:
        return "full"
    table = costs(shape, dtype, rank, size, power_iters, centered=centered)
    if kind == "stream":
        del table["full"]
    return min(table, key=lambda name: table[name])


def choose_eigh(
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    size: int,
    power_iters: int | None,
    kind: str,
) -> str:
    """Iteration, or all of LAPACK where that is cheaper.

    `size` columns; `power_iters` None stands for the default, up to four passes that each end in a small
    eigendecomposition and an SVD.
    """
    n = shape[0]
    if kind != "dense" or np.dtype(dtype).kind == "c":
        return "full" if size >= n <= 1000 else "subspace"
    if power_iters is None:
        width = 1.0 if np.dtype(dtype).itemsize == 4 else _FLOAT64
        core = (_EIGEN[0] + _SVD[0]) * size**3 + (_EIGEN[1] + _SVD[1]) * size**2
        product = 2 * width * float(n) ** 2 * max(size, _LEAST) + _ORTH * width * n * size**2 + _CALL
        iteration = 3 * product + 2 * core  # between two and four passes
    else:
        iteration = costs(shape, dtype, size, size, power_iters)["subspace"]
    full = _EIGEN_NARROW if np.dtype(dtype).itemsize == 4 and n > SMALL_FULL else _EIGEN
    return "full" if full[0] * n**3 + full[1] * n**2 + _CALL <= iteration else "subspace"


def prefers_full(shape: tuple[int, int], kind: str) -> bool:
    """In tolerance mode the rank is unknown: a short side of at most 256 goes to LAPACK."""
    return kind == "dense" and min(shape) <= 256


def choose_qb(dtype: npt.DTypeLike, tol: float | None, kind: str) -> str:
    """Each block its own products, or one pair for many where a pass is dear and squares resolve `tol`."""
    # 100 sqrt(u) leaves the squares of the pass-efficient products two digits.
    resolved = tol is None or tol >= 100 * float(np.finfo(dtype).eps / 2) ** 0.5
    return "pass_efficient" if kind == "stream" and resolved else "ei"
