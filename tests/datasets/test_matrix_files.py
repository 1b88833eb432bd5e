# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Readers give back what was written; writers leave all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from randnla import InputError
from randnla._backend.files import atomic_file
from randnla.datasets import gaussian_kernel, image_patches, load_digits, load_image, load_matrix


def test_dense_files_round_trip(tmp_path: Path) -> None:
    A = np.random.default_rng(0).standard_normal((5, 3))
    np.save(tmp_path / "a.npy", A)
    np.savetxt(tmp_path / "a.csv", A, delimiter=",", fmt="%.17g")
    scipy.io.mmwrite(tmp_path / "a.mtx", A, precision=17)
    for name in ("a.npy", "a.csv", "a.mtx"):
        np.testing.assert_array_equal(load_matrix(tmp_path / name), A)
    assert isinstance(load_matrix(str(tmp_path / "a.npy")), np.memmap)
    np.savetxt(tmp_path / "row.csv", A[:1], delimiter=",")
    assert load_matrix(tmp_path / "row.csv").shape == (1, 3)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_an_empty_npy_is_a_matrix(tmp_path: Path, shape: tuple[int, int]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert load_matrix(tmp_path / "a.npy").shape == shape


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse_files_round_trip(tmp_path: Path, form: str) -> None:
    A = sp.random_array((6, 4), density=0.4, rng=np.random.default_rng(1), format=form)
    sp.save_npz(tmp_path / "a.npz", A)
    scipy.io.mmwrite(tmp_path / "a.mtx", A.tocoo(), precision=17)
    for name in ("a.npz", "a.mtx"):
        read = load_matrix(tmp_path / name)
        assert read.format == "csr"
        np.testing.assert_array_equal(read.toarray(), A.toarray())


@pytest.mark.parametrize(
    ("symmetry", "field"),
    [
        ("general", "real"),
        ("symmetric", "real"),
        ("skew-symmetric", "real"),
        ("hermitian", "complex"),
        ("general", "integer"),
        ("symmetric", "pattern"),
    ],
)
def test_kinds_of_matrix_market_files(tmp_path: Path, symmetry: str, field: str) -> None:
    B = np.random.default_rng(2).integers(-3, 4, (5, 5)) * (1.0 if field != "complex" else 1 + 2j)
    A = {"symmetric": B + B.T, "skew-symmetric": B - B.T, "hermitian": B + B.conj().T}.get(symmetry, B)
    A = (A != 0).astype(float) if field == "pattern" else A
    for held in (A, sp.coo_array(A)) if field != "pattern" else (sp.coo_array(A),):
        scipy.io.mmwrite(tmp_path / "a.mtx", held, symmetry=symmetry, field=field)
        read = load_matrix(tmp_path / "a.mtx")
        np.testing.assert_array_equal(read.toarray() if sp.issparse(held) else read, A)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff1,2\n3,4\n",
        "\n1,2\n\n3,4\n\n",
        "1,2\r\n3,4\r\n",
        "1,2\r3,4\r",
        " 1 , 2\n 3 ,4",
        '"1","2"\n"3","4"\n',
        "# a, b\n1,2  # first\n3,4\n",
        "1e0,+2.\n.3e1,4\n",
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "A.CSV"])
def test_spellings_of_csv(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    np.testing.assert_array_equal(load_matrix(tmp_path / name), [[1, 2], [3, 4]])


def test_sample_data() -> None:
    for name in ("china", "flower"):
        image = load_image(name)
        assert image.shape == (427, 640, 3)
        assert image.dtype == np.float32
        assert 0.0 <= image.min() < image.max() <= 1.0
    images, labels = load_digits()
    assert images.shape == (1797, 64)
    np.testing.assert_array_equal(np.unique(labels), np.arange(10))
    with pytest.raises(InputError, match="one of china, flower, got 'cat'"):
        load_image("cat")


def test_patches_are_the_windows_of_the_image() -> None:
    image = np.random.default_rng(2).random((9, 11, 3)).astype(np.float32)
    patches = image_patches(image, 4, 2)
    assert patches.shape == (3 * 4, 48)
    np.testing.assert_array_equal(patches[5], image[2:6, 2:6].ravel())
    for size, step in ((0, 1), (10, 1), (4, 0)):
        with pytest.raises(InputError):
            image_patches(image, size, step)


def test_gaussian_kernel_is_the_formula() -> None:
    points = np.random.default_rng(3).standard_normal((7, 3))
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    # Distances of size 10 are differences of squares: a few units in the last place of 10.
    np.testing.assert_allclose(gaussian_kernel(points, 1.5), np.exp(-distances / 4.5), rtol=0, atol=2e-14)
    with pytest.raises(InputError, match="positive"):
        gaussian_kernel(points, 0.0)


def test_atomic_file_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail_half_way() -> None:
        with atomic_file(path) as stream:
            stream.write(b"new, but")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_bytes() == b"old"
    with atomic_file(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]
    mask = os.umask(0o022)
    try:
        with atomic_file(tmp_path / "b.bin") as stream:
            stream.write(b"b")
    finally:
        os.umask(mask)
    assert (tmp_path / "b.bin").stat().st_mode & 0o777 == 0o644
