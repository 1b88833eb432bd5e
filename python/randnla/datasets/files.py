# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices from files."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.errors import InputError


def load_matrix(path: str | Path) -> Any:
    """Read a matrix from a file; the suffix says how.

    Parameters
    ----------
    path : str or Path
        ``.npy`` (an array, memory-mapped), ``.npz`` (a matrix saved by ``scipy.sparse.save_npz``),
        ``.mtx`` (Matrix Market), ``.csv`` (numbers separated by commas, in UTF-8, without a header; blank
        lines and what follows a ``#`` are skipped).

    Returns
    -------
    ndarray, memmap or SciPy sparse array, shape (m, n)
        The matrix; ``.npz`` and sparse ``.mtx`` stay sparse (CSR).

    Raises
    ------
    InputError
        If the file is of another kind, damaged, or holds anything but a 2-D matrix of numbers.
    OSError
        If it cannot be opened.

    Notes
    -----
    *Cost*: one pass over the file, memory of the matrix; ``.npy`` is mapped and read when used.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from randnla.datasets import load_matrix
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "a.csv")
    ...     np.savetxt(name, np.eye(2), delimiter=",")
    ...     load_matrix(name).shape
    (2, 2)
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Any]] = {
        ".npy": read_npy,
        ".npz": read_sparse_npz,
        ".mtx": read_matrix_market,
        ".csv": read_csv,
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputError(f"{path}: unknown suffix {path.suffix!r}, expected one of {', '.join(readers)}")
    with path.open("rb"):
        pass  # a missing file, a directory or a forbidden one raises OSError here, in the same words
    try:
        matrix = readers[suffix](path)
    except InputError:
        raise
    # The readers raise these, and a few more kinds, on damaged files.
    except (
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        OverflowError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(f"{path}: not a readable {suffix} file: {one_line(error)}") from error
    if matrix.ndim != 2:
        raise InputError(f"{path}: expected a 2-D matrix, got shape {matrix.shape}")
    if matrix.dtype.kind not in "fciub":
        raise InputError(f"{path}: expected numbers, got dtype {matrix.dtype}")
    return matrix


def read_npy(path: Path) -> Any:
    """Map an array; pickled objects are never loaded."""
    with path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise InputError(f"{path}: not a readable .npy file: it does not begin with the NumPy signature")
    return np.load(path, mmap_mode=None if empty_npy(path) else "r", allow_pickle=False)


def empty_npy(path: Path) -> bool:
    """Whether the array has no entries: an empty file part cannot be mapped."""
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, _ = read(stream)
    return 0 in shape


def read_sparse_npz(path: Path) -> Any:
    """Read a SciPy sparse matrix as CSR."""
    import scipy.sparse

    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not a readable .npz file: it is no archive, or a truncated one")
    with np.load(path, allow_pickle=False) as archive:
        if "format" not in archive.files:
            raise InputError(
                f"{path}: not a sparse matrix saved by scipy.sparse.save_npz; use .npy for an array"
            )
    return checked_csr(path, scipy.sparse.load_npz(path))


def read_matrix_market(path: Path) -> Any:
    """Read a Matrix Market file, sparse as CSR or dense."""
    import scipy.io
    import scipy.sparse

    matrix = scipy.io.mmread(path)
    return checked_csr(path, matrix) if scipy.sparse.issparse(matrix) else matrix


def checked_csr(path: Path, matrix: Any) -> Any:
    """Convert to CSR, after looking at the indices: a damaged file must not read out of bounds."""
    import scipy.sparse

    if matrix.ndim != 2:
        raise InputError(f"{path}: expected a 2-D matrix, got shape {matrix.shape}")
    if matrix.format in ("csr", "csc", "bsr"):
        matrix.check_format(full_check=True)
    elif matrix.format == "coo" and matrix.nnz:
        rows, columns = matrix.coords
        if (
            min(rows.min(), columns.min()) < 0
            or rows.max() >= matrix.shape[0]
            or columns.max() >= matrix.shape[1]
        ):
            raise InputError(f"{path}: an index lies outside of shape {matrix.shape}")
    return scipy.sparse.csr_array(matrix)


def read_csv(path: Path) -> NDArray[np.float64]:
    """Read numbers separated by commas; a byte order mark and quotes around a number are skipped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an empty file is only a warning to loadtxt
            table: NDArray[np.float64] = np.loadtxt(
                path, delimiter=",", dtype=np.float64, ndmin=2, encoding="utf-8-sig", quotechar='"'
            )
    except UserWarning:
        raise InputError(f"{path}: the file holds no numbers") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file") from None
    except ValueError as error:
        # Without NumPy's advice on its own arguments ("...; use `usecols` to ...").
        reason = one_line(error).partition("; use ")[0].removesuffix(".")
        if "at row 0" in reason:
            reason += "; expected numbers in every column, without a header"
        raise InputError(f"{path}: not a readable .csv file: {reason}") from None
    return table


def one_line(error: BaseException) -> str:
    """The message of an exception on one line."""
    return " ".join(str(error).split()) or type(error).__name__
