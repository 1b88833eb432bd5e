# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kernel and graph matrices of points."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense
from randnla.operators import KernelMatrix


def gaussian_kernel(points: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Gram matrix of the Gaussian kernel, ``exp(-|x - y|^2 / (2 width^2))``.

    Parameters
    ----------
    points : ndarray, shape (n, dim)
        One point a row.
    width : float
        Length scale, positive.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Symmetric positive semidefinite, ones on the diagonal.

    Raises
    ------
    InputError
        If the width is not positive.

    Notes
    -----
    *Cost*: 2 n^2 dim flops and n^2 exponentials. It is ``KernelMatrix(points, bandwidth=width).to_dense()``;
    products that need no array of n x n numbers are those of `KernelMatrix` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import gaussian_kernel
    >>> gaussian_kernel(np.zeros((3, 2)), 1.0)[0]
    array([1., 1., 1.])
    """
    if not width > 0:
        raise InputError(f"width must be positive, got {width}")
    wide = np.asarray(points, np.float64)
    kernel: NDArray[np.float64] = KernelMatrix(wide, kernel="gaussian", bandwidth=width).to_dense()
    return kernel


def patch_laplacian(
    image: NDArray[np.float32],
    *,
    size: int = 9,
    step: int = 1,
    width: float | None = None,
    neighbors: int = 7,
) -> Any:
    """Normalized adjacency matrix of the graph of the patches of an image, ``D^-1/2 W D^-1/2``.

    Parameters
    ----------
    image : ndarray, shape (height, width) or (height, width, channels)
        The image.
    size, step : int
        Side of a patch and distance of neighboring patches in pixels.
    width : float, optional
        Length scale h of the weights ``exp(-|x - y|^2 / h^2)``; the median distance of a patch to the
        last of its neighbors unless given.
    neighbors : int, default 7
        Largest weights kept in each row; an edge is kept if either of its ends keeps it.

    Returns
    -------
    csr_array of float64, shape (n, n)
        Symmetric, largest eigenvalue 1, n the number of patches. I minus it is the graph Laplacian.

    Raises
    ------
    InputError
        The patches do not fit into the image, there are not more than `neighbors` of them, or `width` is
        not positive.

    Notes
    -----
    *Algorithm*: Halko, Martinsson and Tropp (2011), section 7.2 (9 x 9 patches, seven neighbors). The
    eigenvalues decay slowly, so that a basis is poor without power iterations.

    *Cost*: 2 n^2 size^2 channels flops by products, a block of rows at a time; memory O(n neighbors).

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.datasets import patch_laplacian
    >>> L = patch_laplacian(np.random.default_rng(0).random((20, 20)), size=3, step=2)
    >>> L.shape, bool(abs(np.linalg.eigvalsh(L.toarray())[-1] - 1) < 1e-12)
    ((81, 81), True)
    """
    from randnla.datasets.samples import image_patches

    image = np.asarray(image)
    if image.ndim not in (2, 3):
        raise InputError(f"image: expected 2 or 3 dimensions, got {image.ndim}")
    points = image_patches(image.reshape(*image.shape[:2], -1), size, step).astype(np.float64)
    count = validate.integer(neighbors, name="neighbors", low=1)
    if not count < len(points):
        raise InputError(f"neighbors: expected fewer than the {len(points)} patches, got {count}")
    if width is not None and not width > 0:
        raise InputError(f"width: expected a positive number, got {width}")
    nearest, squares = _nearest(points, count)
    scale = float(np.median(squares[:, -1])) if width is None else width**2
    weights = np.exp(-squares / scale) if scale > 0 else np.ones_like(squares)
    rows = np.repeat(np.arange(len(points)), count)
    W = scipy.sparse.csr_array((weights.ravel(), (rows, nearest.ravel())), shape=(len(points),) * 2)
    W = W.maximum(W.T)
    W = scipy.sparse.coo_array(W.maximum(W.T))
    degrees = W.sum(axis=1)
    i, j = W.coords
    W.data /= np.sqrt(degrees[i] * degrees[j])  # the same operations for (i, j) and (j, i)
    return W.tocsr()


def _nearest(points: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices and squared distances of the `count` nearest other points, nearest first."""
    n = len(points)
    squares = np.einsum("ij,ij->i", points, points)
    index, distance = np.empty((n, count), np.int64), np.empty((n, count))
    step = max(1, (1 << 21) // n)
    for start in range(0, n, step):
        stop = min(n, start + step)
        block = dense.gemm(points[start:stop], points.T)
        block *= -2.0
        block += squares[None, :]
        block[np.arange(stop - start), np.arange(start, stop)] = np.inf
        found = np.argpartition(block, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(block, found, axis=1)
        order = np.argsort(near, axis=1, kind="stable")
        index[start:stop] = np.take_along_axis(found, order, axis=1)
        near = np.take_along_axis(near, order, axis=1) + squares[start:stop, None]
        distance[start:stop] = np.maximum(near, 0.0)
    return index, distance
