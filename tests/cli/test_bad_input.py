# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bad input: status 2, one clear line on standard error, nothing written."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

Shell = Callable[..., Any]  # the fixture `shell` of conftest.py
GOOD = np.arange(12.0).reshape(4, 3)


def npy(array: Any, **keywords: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **keywords)
    return stream.getvalue()


def sparse_npz(**replaced: Any) -> bytes:
    """A saved CSR matrix with some of its arrays replaced; None removes one."""
    arrays: dict[str, Any] = {
        "indices": np.array([0, 1, 2]),
        "indptr": np.array([0, 1, 2, 3]),
        "format": np.array(b"csr"),
        "shape": np.array([3, 3]),
        "data": np.ones(3),
        **replaced,
    }
    stream = io.BytesIO()
    np.savez(stream, **{name: array for name, array in arrays.items() if array is not None})
    return stream.getvalue()


def saved(matrix: Any) -> bytes:
    stream = io.BytesIO()
    sp.save_npz(stream, matrix)
    return stream.getvalue()


def market(matrix: Any) -> bytes:
    stream = io.BytesIO()
    scipy.io.mmwrite(stream, matrix)
    return stream.getvalue()


def zip_of(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


MARKET = market(sp.csr_array(np.eye(3)))
NO_HEADER = "expected numbers in every column, without a header\n"
# name of the file, its content, what the message says
FILES: dict[str, tuple[str, bytes, str]] = {
    "no numpy file": ("a.npy", b"not an array at all", "a.npy: not a readable .npy file"),
    "empty npy": ("a.npy", b"", "a.npy: not a readable .npy file"),
    "truncated header": ("a.npy", npy(GOOD)[:20], "a.npy: not a readable .npy file"),
    "truncated data": ("a.npy", npy(GOOD)[:-8], "a.npy: not a readable .npy file"),
    "absurd version": ("a.npy", b"\x93NUMPY\x09\x09" + npy(GOOD)[8:], "a.npy: not a readable .npy file"),
    "absurd shape": ("a.npy", npy(GOOD).replace(b"(4, 3)", b"(4,-3)"), "a.npy: "),
    "pickled objects": ("a.npy", npy(np.array([[{}]]), allow_pickle=True), "a.npy: not a readable .npy file"),
    "1-D": ("a.npy", npy(np.ones(3)), "a.npy: expected a 2-D matrix, got shape (3,)"),
    "3-D": ("a.npy", npy(np.ones((2, 2, 2))), "a.npy: expected a 2-D matrix, got shape (2, 2, 2)"),
    "0-D": ("a.npy", npy(np.float64(1)), "a.npy: expected a 2-D matrix, got shape ()"),
    "text array": ("a.npy", npy(np.array([["a", "b"]])), "a.npy: expected numbers, got dtype <U1"),
    "dates": ("a.npy", npy(np.zeros((2, 2), "M8[s]")), "a.npy: expected numbers, got dtype datetime64[s]"),
    "structured": ("a.npy", npy(np.zeros((2, 2), "f8,i4")), "a.npy: expected numbers"),
    "csv with text": ("a.csv", b"1,2\n3,x\n", "a.csv: not a readable .csv file: could not convert"),
    "csv with a header": ("a.csv", b"one,two\n1,2\n", NO_HEADER),
    "ragged csv": ("a.csv", b"1,2\n3\n", "the number of columns changed from 2 to 1 at row 2\n"),
    "csv with a hole": ("a.csv", b"1,,2\n", "a.csv: not a readable .csv file"),
    "csv with a trailing comma": ("a.csv", b"1,2,\n3,4,\n", NO_HEADER),
    "csv of a mark alone": ("a.csv", b"\xef\xbb\xbf", "a.csv: the file holds no numbers"),
    "csv with semicolons": ("a.csv", b"1;2\n3;4\n", "a.csv: not a readable .csv file: could"),
    "csv beyond the range": ("a.csv", b"1e999,2\n3,4\n", "A: 1 entry"),
    "empty csv": ("a.csv", b"", "a.csv: the file holds no numbers"),
    "binary csv": ("a.csv", b"\xff\xfe\x00\x80", "a.csv: not a"),
    "no market file": ("a.mtx", b"1 2 3\n", "a.mtx: not a readable .mtx file"),
    "empty market file": ("a.mtx", b"", "a.mtx: not a readable .mtx file"),
    "market index too large": ("a.mtx", MARKET.replace(b"3 3 1", b"3 9 1"), "a.mtx: "),
    "market index zero": ("a.mtx", MARKET.replace(b"3 3 1", b"0 3 1"), "a.mtx: "),
    "truncated market file": ("a.mtx", MARKET[:-6], "a.mtx: not a readable .mtx file"),
    "no archive": ("a.npz", b"PK nonsense", "a.npz: not a readable .npz file: it is no archive"),
    "truncated archive": ("a.npz", sparse_npz()[:-30], "a.npz: not a readable .npz file: it is no archive"),
    "dense npz": ("a.npz", sparse_npz(format=None), "a.npz: not a sparse matrix saved by"),
    "foreign archive": ("a.npz", zip_of("readme.txt", b"hello"), "a.npz: not a"),
    "1-D sparse": ("a.npz", saved(sp.coo_array(np.arange(5.0))), "expected a 2-D matrix, got shape (5,)"),
    "3-D sparse": ("a.npz", saved(sp.coo_array(np.ones((2, 2, 2)))), "a 2-D matrix, got shape (2, 2, 2)"),
    "long doubles": ("a.npz", saved(sp.csr_array(np.eye(3, dtype="g"))), "A: "),
    "unknown format": ("a.npz", sparse_npz(format=np.array(b"xyz")), "a.npz: not a readable .npz file"),
    "missing part": ("a.npz", sparse_npz(indptr=None), "a.npz: not a readable .npz file"),
    "index out of bounds": ("a.npz", sparse_npz(indices=np.array([0, 1, 9])), "a.npz: not a readable"),
    "negative index": ("a.npz", sparse_npz(indices=np.array([0, 1, -1])), "a.npz: not a readable"),
    "pointer out of bounds": ("a.npz", sparse_npz(indptr=np.array([0, 1, 2, 99])), "a.npz: not a readable"),
    "unknown suffix": ("a.dat", b"1 2 3", "a.dat: unknown suffix '.dat', expected one of .npy, .npz"),
    "no suffix": ("a", b"1 2 3", "a: unknown suffix ''"),
}  # fmt: skip


def assert_refused(shell: Shell, arguments: list[str], message: str) -> None:
    """Status 2, one line with the message, and the folder as it was."""
    before = {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")}
    outcome = shell(*arguments)
    assert outcome.status == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1, outcome.err
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")} == before


@pytest.mark.parametrize("command", ["svd", "pca"])
@pytest.mark.parametrize("case", FILES)
def test_unreadable_file(shell: Shell, command: str, case: str) -> None:
    name, content, message = FILES[case]
    Path(name).write_bytes(content)
    assert_refused(shell, [command, name, "--rank", "2", "--out", "out.npz"], message)


def make_folder() -> None:
    Path("folder.npy").mkdir()


def make_taken() -> None:
    Path("taken.npz").mkdir()


def make_sparse_input() -> None:
    Path("same.npz").write_bytes(sparse_npz())


def make_taken_figure() -> None:
    Path("out.png").mkdir()


USAGE: list[tuple[str, str, Callable[[], object] | None]] = [
    ("", "a command is needed", None),
    ("solve a.npy", "invalid choice: 'solve'", None),
    ("svd", "the following arguments are required", None),
    ("svd good.npy --rank 2", "required: --out", None),
    ("svd good.npy --out out.npz", "--rank or --tol is needed", None),
    ("pca good.npy --out out.npz", "--rank or --tol is needed", None),
    ("svd good.npy --rank two --out out.npz", "--rank: invalid int value: 'two'", None),
    ("svd good.npy --rank 1.5 --out out.npz", "--rank: invalid int value: '1.5'", None),
    ("svd good.npy --rank 2 --tol small --out out.npz", "--tol: invalid float value: 'small'", None),
    ("svd good.npy --rank 2 --out out.npz --bogus", "unrecognized arguments: --bogus", None),
    ("svd good.npy --rank 2 --out out.txt", "--out must end in .npz", None),
    ("svd good.npy --rank 2 --out absent/out.npz", "--out lies in a directory that does not exist", None),
    ("svd good.npy --rank 2 --out taken.npz", "--out is a directory", make_taken),
    ("svd good.npy --rank 2 --plot --out out.npz", "--plot would write to a directory", make_taken_figure),
    ("svd same.npz --rank 2 --out same.npz", "--out would replace the input", make_sparse_input),
    ("svd absent.npy --rank 2 --out out.npz", "absent.npy: No such file or directory", None),
    ("svd folder.npy --rank 2 --out out.npz", "folder.npy: Is a directory", make_folder),
    ("svd good.npy/x.npy --rank 2 --out out.npz", "good.npy/x.npy: Not a directory", None),
    ("demo --out good.npy", "good.npy: File exists", None),
    ("demo --size huge", "unrecognized arguments", None),
]


@pytest.mark.parametrize(
    ("line", "message", "prepare"), USAGE, ids=[line or "nothing" for line, _, _ in USAGE]
)
def test_bad_usage(shell: Shell, line: str, message: str, prepare: Callable[[], object] | None) -> None:
    Path("good.npy").write_bytes(npy(GOOD))
    if prepare is not None:
        prepare()
    assert_refused(shell, line.split(), message)


@pytest.mark.parametrize("command", ["svd", "pca"])
@pytest.mark.parametrize("name", ["big.npy", "big.npz", "big.csv", "big.mtx"])
@pytest.mark.parametrize("matrix", [np.full((30, 6), 1.7e308), np.linspace(-1, 1, 180) * 1.7e308])
def test_values_beyond_the_range(shell: Shell, command: str, name: str, matrix: Any) -> None:
    A = matrix.reshape(30, 6)
    writers = {
        ".npy": np.save,
        ".npz": lambda path, A: sp.save_npz(path, sp.csr_array(A)),
        ".csv": lambda path, A: np.savetxt(path, A, delimiter=","),
        ".mtx": scipy.io.mmwrite,
    }
    writers[Path(name).suffix](name, A)
    message = f"randnla {command}: A: its "
    assert_refused(shell, [command, name, "--rank", "2", "--out", "out.npz"], message)
