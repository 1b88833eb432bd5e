# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which map to take, and the one-line sketch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.rng import seed_from
from randnla.operators import Dense, LinearOperator, RowStream, Sparse, as_operator
from randnla.sketching.base import LARGEST, RandomMap
from randnla.sketching.countsketch import CountSketch
from randnla.sketching.gaussian import Gaussian
from randnla.sketching.leverage import leverage_scores
from randnla.sketching.sampling import LeverageSampling, RowSampling
from randnla.sketching.sign import Sign
from randnla.sketching.sparse_sign import SparseSign
from randnla.sketching.srft import SRFT
from randnla.sketching.srht import SRHT

Array = npt.NDArray[Any]

# Maps that a driver can make from sizes alone.
MAPS: dict[str, type[RandomMap]] = {
    cls.kind: cls for cls in (Gaussian, Sign, SparseSign, CountSketch, SRHT, SRFT, RowSampling)
}
DRIVER_MAPS = ("auto", "gaussian", "sign", "sparse_sign", "countsketch", "srht")

# Below this a sparse sign map has so few rows that its columns often coincide.
SMALLEST_SPARSE = 32


def choose_map(d: int, m: int, *, dtype: Any = np.float64, source: str = "dense") -> str:
    """The map ``sketch="auto"`` stands for: a pure function of sizes, dtype and kind of input.

    Parameters
    ----------
    d, m : int
        Rows and columns of the map.
    dtype : dtype
    source : {"dense", "sparse", "stream", "operator"}
        What is sketched.

    Returns
    -------
    kind : str
        "gaussian" for operators, which need the map as dense blocks anyway, and for d < 32;
        "sparse_sign" otherwise: it embeds as well in practice and runs at memory speed.

    Examples
    --------
    >>> choose_map(10, 1000), choose_map(100, 1000), choose_map(100, 1000, source="operator")
    ('gaussian', 'sparse_sign', 'gaussian')
    """
    validate.choice(source, ("dense", "sparse", "stream", "operator"), name="source")
    validate.working_dtype(dtype, name="dtype")
    if source == "operator" or d < SMALLEST_SPARSE or d >= m:
        return "gaussian"
    return "sparse_sign"


def source_of(A: LinearOperator) -> str:
    """The `source` of `choose_map` for an operator."""
    if isinstance(A, Dense):
        return "dense"
    if isinstance(A, Sparse):
        return "sparse"
    return "stream" if isinstance(A, RowStream) else "operator"


def make_map(
    sketch: Any,
    d: int,
    m: int,
    *,
    rng: Any = None,
    dtype: Any = np.float64,
    stream: int = 0,
    source: str = "dense",
) -> RandomMap:
    """The (d, m) map that a driver's ``sketch=`` argument stands for.

    Parameters
    ----------
    sketch : str or RandomMap
        One of ``"auto", "gaussian", "sign", "sparse_sign", "countsketch", "srht"``; a map is returned as
        it is, if its shape is (d, m).
    d, m, rng, dtype, stream
        As for `RandomMap`.
    source : str
        As for `choose_map`.

    Raises
    ------
    InputError
        Another word, or a map of another shape.

    Examples
    --------
    >>> make_map("srht", 4, 100, rng=1)
    SRHT(4, 100, rng=1, dtype=float64)
    """
    if isinstance(sketch, RandomMap):
        if sketch.shape != (d, m):
            raise InputError(f"sketch: expected a map of shape {(d, m)}, got one of {sketch.shape}")
        return sketch
    word = validate.choice(sketch, DRIVER_MAPS, name="sketch")
    kind = choose_map(d, m, dtype=dtype, source=source) if word == "auto" else word
    return MAPS[kind](d, m, rng=rng, dtype=dtype, stream=stream)


def sketch(A: Any, size: int, *, axis: int = 0, kind: Any = "auto", rng: Any = None) -> Any:
    """A random sketch of A: ``S @ A`` (size, n) for axis 0, ``A @ S.T`` (m, size) for axis 1.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
    size : int
        Rows, or columns, of the sketch.
    axis : {0, 1}, default 0
        The axis that is sketched.
    kind : str or RandomMap, default "auto"
        "gaussian", "sign", "sparse_sign", "countsketch", "srht", "srft", "row_sampling", "leverage" (rows by
        leverage scores, axis 0 of a tall A), "auto", or a map of the right shape.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    array
        Of the kind and dtype of A; integers give float64, float16 float32.

    Raises
    ------
    InputError
        A size, axis or kind that cannot be.
    NonFiniteError
        A holds NaN or Inf. Row sampling sees the rows it draws only.

    Notes
    -----
    *Algorithm*: that of the map, scaled so that squared lengths are kept on average.

    *Cost*: one pass over A.

    Examples
    --------
    >>> A = np.ones((100, 3))
    >>> sketch(A, 20, rng=0).shape, sketch(A, 2, axis=1, rng=0).shape
    ((20, 3), (100, 2))
    """
    operator = as_operator(A)
    axis = validate.integer(axis, name="axis", low=0, high=1)
    size = validate.integer(size, name="size", low=1, high=LARGEST)
    length = operator.shape[axis]
    dtype = np.dtype(operator.dtype.type(0).real.dtype)
    seed = seed_from(rng)
    if isinstance(kind, RandomMap):
        S = make_map(kind, size, length)
    elif kind == "leverage":
        scores = leverage_scores(operator if axis == 0 else operator.T, rng=seed)
        S = LeverageSampling(size, length, scores=scores, rng=seed, dtype=dtype, stream=2)
    elif isinstance(kind, str) and kind in MAPS:
        S = MAPS[kind](size, length, rng=seed, dtype=dtype)
    elif isinstance(kind, str) and kind == "auto":
        S = make_map("auto", size, length, rng=seed, dtype=dtype, source=source_of(operator))
    else:
        words = ", ".join(repr(word) for word in ("auto", *MAPS, "leverage"))
        raise InputError(f"kind: expected a random map or one of {words}, got {validate.shown(kind)}")
    out = operator.sketch(S) if axis == 0 else operator.rsketch(S)
    if operator.check_finite and not validate.is_finite(out):
        operator.require_finite()
    return namespace.restore(namespace.kind_of(A), out)
