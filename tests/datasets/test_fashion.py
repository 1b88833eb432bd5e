# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The IDX format, and the real files where they are installed."""

import gzip
import struct

import numpy as np
import pytest

import randnla
from randnla.datasets import load_fashion_mnist


def write(folder, prefix, images, labels):
    for name, array in (
        (f"{prefix}-images-idx3-ubyte.gz", images),
        (f"{prefix}-labels-idx1-ubyte.gz", labels),
    ):
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        with gzip.open(folder / name, "wb") as file:
            file.write(header + array.tobytes())


def test_reads_what_was_written(tmp_path, monkeypatch):
    images = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2) * 20
    write(tmp_path, "t10k", images, np.array([1, 0, 9], np.uint8))
    pixels, labels = load_fashion_mnist("test", folder=tmp_path)
    np.testing.assert_array_equal(pixels, images.reshape(3, 4).astype(np.float32) / np.float32(255))
    assert labels.tolist() == [1, 0, 9]
    monkeypatch.setenv("RANDNLA_FASHION_MNIST", str(tmp_path))
    assert np.array_equal(load_fashion_mnist("test")[0], pixels)
    with pytest.raises(FileNotFoundError, match="dataset-fashion-mnist"):
        load_fashion_mnist("train")
    with pytest.raises(randnla.InputError, match="split: expected one of"):
        load_fashion_mnist("validation")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + b"1234567", "after the header, got 7"),
        (b"\0\0\x08\x03\0", r"expected \(\) bytes"),
        (b"\0\0\x0d\x01" + struct.pack(">I", 1) + b"1234", "IDX file of unsigned bytes"),
        (b"", "IDX file of unsigned bytes"),
    ],
)
def test_damaged_files_are_refused(tmp_path, raw, message):
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(raw)
    with pytest.raises(randnla.InputError, match=message):
        load_fashion_mnist(folder=tmp_path)


def test_plain_files_are_refused(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not compressed")
    with pytest.raises(randnla.InputError, match="expected a gzip file"):
        load_fashion_mnist(folder=tmp_path)


def test_the_real_files():
    try:
        images, labels = load_fashion_mnist("test")
    except FileNotFoundError:
        pytest.skip("Fashion-MNIST is not installed")
    assert images.shape == (10000, 784)
    assert (np.bincount(labels) == 1000).all()
    assert (images.min(), images.max()) == (0.0, 1.0)
