# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Real data shipped with scikit-learn, which is imported when one of them is asked for (extra ``demo``)."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.errors import InputError

IMAGES = ("china", "flower")


def load_image(name: str) -> NDArray[np.float32]:
    """Load a color photograph shipped with scikit-learn.

    Parameters
    ----------
    name : {"china", "flower"}
        Which one.

    Returns
    -------
    ndarray of float32, shape (427, 640, 3)
        Red, green and blue in [0, 1].

    Raises
    ------
    InputError
        If there is no image of that name.
    ImportError
        If scikit-learn or Pillow is not installed; the message says how to get them.

    Notes
    -----
    *Cost*: one JPEG decoded, 3.3 MB.

    Examples
    --------
    >>> from randnla.datasets import load_image
    >>> load_image("flower").shape
    (427, 640, 3)
    """
    if name not in IMAGES:
        raise InputError(f"name must be one of {', '.join(IMAGES)}, got {name!r}")
    need("PIL", "Pillow")
    image = need("sklearn.datasets", "scikit-learn").load_sample_image(f"{name}.jpg")
    pixels: NDArray[np.float32] = np.asarray(image, dtype=np.float32) / np.float32(255)
    return pixels


def load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Load the handwritten digits shipped with scikit-learn.

    Returns
    -------
    images : ndarray of float64, shape (1797, 64)
        One 8 x 8 image a row, entries 0 to 16.
    labels : ndarray of int64, shape (1797,)
        The digit each image shows.

    Raises
    ------
    ImportError
        If scikit-learn is not installed; the message says how to get it.

    Notes
    -----
    *Cost*: one compressed file of 60 kB read, 0.9 MB.

    Examples
    --------
    >>> from randnla.datasets import load_digits
    >>> images, labels = load_digits()
    >>> images.shape, int(labels.max())
    ((1797, 64), 9)
    """
    bunch = need("sklearn.datasets", "scikit-learn").load_digits()
    return np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target, dtype=np.int64)


def image_patches(image: NDArray[np.float32], size: int, step: int) -> NDArray[np.float32]:
    """Cut an image into overlapping square patches, one a row.

    Parameters
    ----------
    image : ndarray, shape (height, width, channels)
        The image.
    size : int
        Side of a patch in pixels, at most min(height, width).
    step : int
        Distance of neighboring patches in pixels, at least 1.

    Returns
    -------
    ndarray, shape (patches, size * size * channels)
        The patches, in reading order.

    Raises
    ------
    InputError
        If the size does not fit into the image or the step is below 1.

    Notes
    -----
    *Cost*: one copy; memory of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import image_patches
    >>> image_patches(np.zeros((8, 10, 3), dtype=np.float32), size=4, step=2).shape
    (12, 48)
    """
    height, width, channels = image.shape
    if not 1 <= size <= min(height, width):
        raise InputError(f"size must be between 1 and {min(height, width)}, got {size}")
    if step < 1:
        raise InputError(f"step must be at least 1, got {step}")
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size, channels))[::step, ::step, 0]
    return np.ascontiguousarray(windows.reshape(-1, size * size * channels))


def need(module: str, distribution: str) -> Any:
    """Import an optional package or say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{distribution} is needed here and not installed: pip install 'randnla[demo]'", name=error.name
        ) from error
