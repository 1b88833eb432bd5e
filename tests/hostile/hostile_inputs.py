# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs that break linear algebra libraries, each with what we promise for it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

Array = np.ndarray[Any, Any]
FOLDER = tempfile.TemporaryDirectory()  # of the mapped files, removed when the process ends
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Hostile:
    """`make(base)` is the input; `promise` is "value" or the class of the error, whose message matches."""

    name: str
    make: Callable[[Array], Any]
    promise: str = "value"
    pattern: str = r"^A\b"
    # The matrix meant, for a value; by default the input itself read as an array.
    truth: Callable[[Array], Array] | None = None
    # False where the input is not symmetric: functions of symmetric matrices then refuse or are not asked.
    symmetric: bool = True


def dense_truth(value: Any) -> Array:
    """`value` in float64 or complex128, in a fresh C-contiguous array."""
    if sp.issparse(value):
        value = value.toarray()
    array = np.asarray(value)
    return np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64)


# -- building blocks -----------------------------------------------------------------------------------


def planted(value: complex, places: Callable[[int, int], list[tuple[int, int]]]) -> Callable[[Array], Array]:
    """`base` with `value` at some places."""

    def make(base: Array) -> Array:
        A = base.astype(np.result_type(base, type(value)))
        for i, j in places(*A.shape):
            A[i, j] = value
        return A

    return make


PLACES: dict[str, Callable[[int, int], list[tuple[int, int]]]] = {
    "first": lambda m, n: [(0, 0)],
    "last": lambda m, n: [(m - 1, n - 1)],
    "middle": lambda m, n: [(m // 2, n // 2)],
    "upper": lambda m, n: [(1, n - 2)],
    "lower": lambda m, n: [(m - 2, 1)],
    "everywhere": lambda m, n: [(i, j) for i in range(m) for j in range(n)],
}


def scaled(factor: float, dtype: Any = np.float64) -> Callable[[Array], Array]:
    """Exact for denormal targets too: two factors, each in range."""
    half = np.sqrt(factor) if factor > 0 else 0.0
    return lambda base: ((base * half) * half).astype(dtype)


def unaligned(base: Array) -> Array:
    memory = np.zeros(base.nbytes + 1, dtype=np.uint8)
    view = memory[1:].view(np.float64).reshape(base.shape)
    view[...] = base
    return view


def read_only(base: Array) -> Array:
    A = base.copy()
    A.setflags(write=False)
    return A


def every_second(base: Array) -> Array:
    big = np.full((2 * base.shape[0], 2 * base.shape[1]), np.nan)
    big[::2, ::2] = base
    return big[::2, ::2]


def odd_strides(base: Array) -> Array:
    """Rows 8 n + 3 bytes apart, as in a packed record file: not a multiple of the element."""
    m, n = base.shape
    record = np.zeros(m, dtype=np.dtype({"names": ["row", "pad"], "formats": [(np.float64, n), "V3"]}))
    record["row"] = base
    return record["row"]


def mapped(order: str) -> Callable[[Array], Array]:
    def make(base: Array) -> Array:
        path = Path(FOLDER.name) / f"{order}{next(NUMBERS)}.npy"
        np.save(path, np.asarray(base, order=order))  # type: ignore[call-overload]
        return np.load(path, mmap_mode="r")

    return make


class Subclass(np.ndarray):
    """An array type that counts as one."""


def masked(base: Array) -> Any:
    return np.ma.masked_array(base, mask=np.eye(*base.shape, dtype=bool))


def structured(base: Array) -> Array:
    A = np.zeros(base.shape, dtype=[("re", "f8"), ("im", "f8")])
    A["re"] = base
    return A


def graded(base: Array) -> Array:
    """D B D, rows and columns falling over 150 orders of magnitude; symmetric where B is."""
    m, n = base.shape
    return 10.0 ** -np.linspace(0, 75, m)[:, None] * base * 10.0 ** -np.linspace(0, 75, n)


def low_rank(base: Array) -> Array:
    k = 3
    B = base[:, :k]
    return B @ (B.T if base.shape[0] == base.shape[1] else base[:k, :])


def repeated(base: Array) -> Array:
    """Every row and column three times (as many as fit)."""
    m, n = base.shape
    return base[np.arange(m) // 3][:, np.arange(n) // 3]


def zero_lines(base: Array) -> Array:
    A = base.copy()
    A[[0, 4, -1]] = 0
    A[:, [0, 4, -1]] = 0
    return A


def flat(base: Array) -> Array:
    """All singular values equal."""
    m, n = base.shape
    return np.eye(m, n) if m == n else np.linalg.qr(base)[0]


def hermitian(base: Array) -> Array:
    """Complex with the spectrum of `base`: a diagonal of phases on both sides."""
    m, n = base.shape
    phase = np.exp(1j * np.arange(max(m, n)))
    return phase[:m, None] * base * phase[:n].conj()


def as_integers(dtype: Any) -> Callable[[Array], Array]:
    limit = min(100, np.iinfo(dtype).max)
    low = 0 if np.iinfo(dtype).min == 0 else -limit
    if low == 0:  # unsigned: entrywise |.| of a symmetric matrix plus dominance keeps it semidefinite
        return lambda base: (np.rint(np.abs(base) * 9) + 100 * np.eye(*base.shape)).astype(dtype)
    return lambda base: (np.clip(np.rint(base * 9), low, limit) + 100 * np.eye(*base.shape)).astype(dtype)


# -- the tables ----------------------------------------------------------------------------------------

LAYOUTS: dict[str, Callable[[Array], Any]] = {
    "C order": lambda A: np.ascontiguousarray(A),
    "Fortran order": lambda A: np.asfortranarray(A),
    "transposed view": lambda A: np.ascontiguousarray(A.T).T,
    "read-only": read_only,
    "read-only Fortran": lambda A: read_only(np.asfortranarray(A)),
    "rows reversed": lambda A: np.ascontiguousarray(A[::-1])[::-1],
    "columns reversed": lambda A: np.ascontiguousarray(A[:, ::-1])[:, ::-1],
    "both reversed": lambda A: np.ascontiguousarray(A[::-1, ::-1])[::-1, ::-1],
    "Fortran reversed": lambda A: np.asfortranarray(A[::-1, ::-1])[::-1, ::-1],
    "every second": every_second,
    "every second, transposed": lambda A: every_second(A.T).T,
    "slice of a larger one": lambda A: np.pad(A, ((3, 2), (1, 4)), constant_values=np.nan)[3:-2, 1:-4],
    "slice of a larger Fortran one": lambda A: np.asfortranarray(
        np.pad(A, ((3, 2), (1, 4)), constant_values=np.nan)
    )[3:-2, 1:-4],
    "axes of a 3-D array": lambda A: np.repeat(A[:, None, :], 2, axis=1)[:, 1, :],
    "columns of a 3-D array": lambda A: np.repeat(A[:, :, None], 3, axis=2)[:, :, 1],
    "unaligned": unaligned,
    "odd strides": odd_strides,
    "big-endian": lambda A: A.astype(">f8"),
    "big-endian Fortran": lambda A: np.asfortranarray(A).astype(">f8", order="K"),
    "real part of complex": lambda A: (A + 1j).real,
    "memmap": mapped("C"),
    "memmap Fortran": mapped("F"),
    "ndarray subclass": lambda A: A.view(Subclass),
    "np.matrix": lambda A: A.view(np.matrix),
    "list of lists": lambda A: A.tolist(),
    "tuple of arrays": lambda A: tuple(A),
    "masked array, nothing masked": lambda A: np.ma.masked_array(A),
}

NON_FINITE = [
    Hostile(
        f"{value} {place}",
        planted(float(value), places),
        "NonFiniteError",
        r"^A: .* (is|are) NaN or Inf, the first at index (\d+|\(\d+(, \d+)+\))$",
    )
    for value in ("nan", "inf", "-inf")
    for place, places in PLACES.items()
] + [
    Hostile("nan imaginary", planted(complex(0, np.nan), PLACES["middle"]), "NonFiniteError"),
    Hostile("inf float32", lambda A: planted(np.inf, PLACES["last"])(A).astype(np.float32), "NonFiniteError"),
    Hostile("inf float16", lambda A: planted(np.inf, PLACES["last"])(A).astype(np.float16), "NonFiniteError"),
    Hostile("nan Fortran", lambda A: np.asfortranarray(planted(np.nan, PLACES["last"])(A)), "NonFiniteError"),
    Hostile("nan in CSR", lambda A: sp.csr_array(planted(np.nan, PLACES["upper"])(A)), "NonFiniteError"),
    Hostile("inf in CSC", lambda A: sp.csc_array(planted(np.inf, PLACES["lower"])(A)), "NonFiniteError"),
    Hostile("nan in memmap", lambda A: mapped("C")(planted(np.nan, PLACES["last"])(A)), "NonFiniteError"),
]  # fmt: skip

REFUSED = [
    Hostile("1-D", lambda A: A[0], "InputError", r"^A: .*dimension"),
    Hostile("3-D", lambda A: A[None], "InputError", r"^A: .*dimension"),
    Hostile("0-D", lambda A: np.float64(3.0), "InputError", r"^A: .*dimension"),
    Hostile("Python number", lambda A: 3.0, "InputError", r"^A\b"),
    Hostile("None", lambda A: None, "InputError"),
    Hostile("word", lambda A: "matrix", "InputError"),
    Hostile("dict", lambda A: {"A": 1.0}, "InputError"),
    Hostile("generator", lambda A: (row for row in A), "InputError"),
    Hostile("ragged list", lambda A: [[1.0, 2.0], [3.0]], "InputError"),
    Hostile("object dtype", lambda A: A.astype(object), "InputError"),
    Hostile("string dtype", lambda A: A.astype(str), "InputError"),
    Hostile("bytes dtype", lambda A: A.astype("S8"), "InputError"),
    Hostile("longdouble", lambda A: A.astype(np.longdouble), "InputError"),
    Hostile("clongdouble", lambda A: A.astype(np.clongdouble), "InputError"),
    Hostile("structured", structured, "InputError"),
    Hostile("datetime", lambda A: np.zeros(A.shape, dtype="M8[s]"), "InputError"),
    Hostile("masked", masked, "InputError"),
    Hostile("object in CSR", lambda A: sp.csr_array(A).astype(np.longdouble), "InputError"),
]

SCALES = [Hostile(f"scale {s:g}", scaled(s)) for s in (1e-300, 1e-160, 1e160, 1e300, 1e-310, 1e-320)] + [
    Hostile("float32 scale 1e-30", scaled(1e-30, np.float32)),
    Hostile("float32 scale 1e30", scaled(1e30, np.float32)),
    Hostile("float32 denormal", scaled(1e-41, np.float32)),
    Hostile("float16", lambda A: A.astype(np.float16)),
    Hostile("float16 near overflow", lambda A: (A / np.abs(A).max() * 6e4).astype(np.float16)),
    Hostile("graded", graded),
    Hostile("one huge entry", lambda A: planted(1e200, PLACES["first"])(A)),
    Hostile("one huge entry float32", lambda A: planted(1e30, PLACES["first"])(A).astype(np.float32)),
]

VALUES = [
    Hostile("zero", lambda A: np.zeros_like(A)),
    Hostile("zero float32", lambda A: np.zeros_like(A, dtype=np.float32)),
    Hostile("negative zero", lambda A: -np.zeros_like(A)),
    Hostile("exact low rank", low_rank),
    Hostile("rank one", lambda A: np.ones_like(A)),
    Hostile("repeated lines", repeated),
    Hostile("zero lines", zero_lines),
    Hostile("flat spectrum", flat),
    Hostile("flat spectrum float32", lambda A: flat(A).astype(np.float32)),
    Hostile("single entry", lambda A: np.eye(*A.shape) * (np.arange(A.shape[1]) == 7)),
    Hostile("broadcast rows", lambda A: np.broadcast_to(A[0], A.shape), symmetric=False),
    Hostile("broadcast columns", lambda A: np.broadcast_to(A[:, :1], A.shape), symmetric=False),
    Hostile("broadcast number", lambda A: np.broadcast_to(np.float64(2.0), A.shape)),
    Hostile("int64", as_integers(np.int64)),
    Hostile("int8", as_integers(np.int8)),
    Hostile("uint64", as_integers(np.uint64)),
    Hostile("large int64", lambda A: (np.eye(*A.shape) * (2.0**62)).astype(np.int64)),
    Hostile("bool", lambda A: np.eye(*A.shape) > 0),
    Hostile("complex128", hermitian),
    Hostile("complex64", lambda A: hermitian(A).astype(np.complex64)),
    Hostile("complex scale 1e-300", lambda A: hermitian(A) * 1e-300),
    Hostile("CSR", sp.csr_array),
    Hostile("CSC", sp.csc_array),
    Hostile("COO", sp.coo_array),
    Hostile("csr_matrix", sp.csr_matrix),
    Hostile("CSR float32", lambda A: sp.csr_array(A.astype(np.float32))),
    Hostile("CSR int", lambda A: sp.csr_array(as_integers(np.int64)(A))),
    Hostile("CSR complex", lambda A: sp.csr_array(hermitian(A))),
    Hostile("CSR without entries", lambda A: sp.csr_array(A.shape)),
    Hostile("CSR 64-bit indices", lambda A: _wide_indices(sp.csr_array(A))),
    Hostile("COO with duplicates", lambda A: _doubled(A)),
    Hostile("SciPy LinearOperator", spla.aslinearoperator, truth=lambda A: A),
]

SHAPES = [
    Hostile("1x1", lambda A: np.array([[2.0]])),
    Hostile("1x1 zero", lambda A: np.array([[0.0]])),
    Hostile("1xn", lambda A: A[:1], symmetric=False),
    Hostile("nx1", lambda A: A[:, :1], symmetric=False),
    Hostile("0x0", lambda A: np.zeros((0, 0))),
    Hostile("0xn", lambda A: A[:0], symmetric=False),
    Hostile("nx0", lambda A: A[:, :0], symmetric=False),
    Hostile("2x2", lambda A: np.diag([3.0, 1.0])),
    Hostile("wide", lambda A: A[:10], symmetric=False),
    Hostile("very wide", lambda A: np.tile(A[:2], 20), symmetric=False),
]


def _wide_indices(A: Any) -> Any:
    A.indptr, A.indices = A.indptr.astype(np.int64), A.indices.astype(np.int64)
    return A


def _doubled(base: Array) -> Any:
    A = sp.coo_array(base)
    rows, cols = A.coords
    return sp.coo_array((np.tile(A.data / 2, 2), (np.tile(rows, 2), np.tile(cols, 2))), shape=base.shape)


MATRICES: dict[str, Hostile] = {
    case.name: case for case in NON_FINITE + REFUSED + SCALES + VALUES + SHAPES
} | {f"layout: {name}": Hostile(f"layout: {name}", make, truth=lambda A: A) for name, make in LAYOUTS.items()}
