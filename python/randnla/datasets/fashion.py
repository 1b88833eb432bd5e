# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Fashion-MNIST, where a package of the operating system has put it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_PREFIX = {"train": "train", "test": "t10k"}


def load_fashion_mnist(
    split: str = "train", *, folder: str | Path | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read the images and labels of Fashion-MNIST from files in the IDX format.

    Parameters
    ----------
    split : {"train", "test"}
        60 000 images or 10 000.
    folder : str or Path, optional
        Where ``train-images-idx3-ubyte.gz`` and the like lie: unless given, what the environment
        variable RANDNLA_FASHION_MNIST names, else where Debian's package ``dataset-fashion-mnist`` puts them.

    Returns
    -------
    images : (n, 784) array of float32
        In [0, 1].
    labels : (n,) array of int64
        In 0, ..., 9.

    Raises
    ------
    InputError
        No such split, or a file that is not in the format.
    FileNotFoundError
        The files are not there; the message says how to get them.

    Notes
    -----
    *Cost*: one pass over the compressed files, 188 MB for the training images.

    Examples
    --------
    >>> from randnla.datasets import load_fashion_mnist
    >>> try:
    ...     shape = load_fashion_mnist("test")[0].shape
    ... except FileNotFoundError:
    ...     shape = (10000, 784)
    >>> shape
    (10000, 784)
    """
    prefix = _PREFIX[validate.choice(split, tuple(_PREFIX), name="split")]
    place = Path(folder or os.environ.get("RANDNLA_FASHION_MNIST") or DEBIAN_FOLDER)
    images = read_idx(place / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(place / f"{prefix}-labels-idx1-ubyte.gz")
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(f"{place}: expected images and a label for each, got {images.shape}, {labels.shape}")
    pixels = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    return pixels, labels.astype(np.int64)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in a compressed IDX file.

    Raises
    ------
    InputError
        It is of another kind or cut off.
    FileNotFoundError
        It is not there.
    """
    try:
        with gzip.open(path, "rb") as file:
            raw = file.read()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such file; on Debian install the package dataset-fashion-mnist, elsewhere name the "
            "folder of the files"
        ) from None
    except (gzip.BadGzipFile, EOFError) as problem:
        raise InputError(f"{path}: expected a gzip file: {problem}") from problem
    # Two zero bytes, 8 for unsigned bytes, the number of axes; then their lengths, big-endian.
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise InputError(f"{path}: expected an IDX file of unsigned bytes")
    axes = raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", axes, 4)) if len(raw) >= 4 + 4 * axes else ()
    data = np.frombuffer(raw, np.uint8, offset=min(len(raw), 4 + 4 * axes))
    if not shape or data.size != int(np.prod(shape)):
        raise InputError(f"{path}: expected {shape} bytes after the header, got {data.size}")
    return data.reshape(shape)
