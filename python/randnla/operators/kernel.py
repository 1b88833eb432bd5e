# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kernel matrices known by their points."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import points as tiles
from randnla.operators.base import Array, LinearOperator


class KernelMatrix(LinearOperator):
    """The matrix ``k(|x_i - y_j| / h)`` of points, whose entries are made when they are needed.

    Parameters
    ----------
    points : array of shape (m, dim)
        Real; one point a row.
    kernel : {"gaussian", "laplace", "matern32", "matern52"}
        With r the Euclidean distance over the bandwidth: ``exp(-r**2 / 2)``, ``exp(-r)``,
        ``(1 + s) exp(-s)`` with ``s = sqrt(3) r``, ``(1 + s + s**2 / 3) exp(-s)`` with ``s = sqrt(5) r``.
        All are positive definite in every dimension.
    bandwidth : float
        The length scale h, positive.
    points2 : array of shape (n, dim), optional
        The points y; `points` again unless given, and the matrix is then symmetric.
    dtype : float32 or float64, optional
        Of the entries and the computation; that of the points unless given.
    name : str
        What errors call the points.
    check_finite : bool, default True
        Refuse points that hold NaN or Inf.

    Raises
    ------
    InputError
        The points are no real matrix, the two sets differ in dimension, or the kernel or bandwidth does
        not fit.
    NonFiniteError
        The points hold NaN or Inf.

    Notes
    -----
    *Accuracy*: with u the unit roundoff, squared distances have a relative error of at most (dim + 2) u,
    for close points and points far from the origin, too, so an entry of the Gaussian kernel has one of
    about (2 + (dim + 4) r^2 / 2) u. Entries below ``exp(-708)`` (``exp(-87)`` in float32) are zero. An
    entry depends on its two points alone, so ``K[i, j] == K[j, i]`` and blocks agree to the bit.

    *Cost*: a product with k columns takes m n (3 dim + 2 k) flops and m n exponentials; beside its operand
    and result it holds tiles of some 3 MB a thread, never the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((500, 3))
    >>> K = KernelMatrix(X, kernel="gaussian", bandwidth=2.0)
    >>> K
    <500 x 500 KernelMatrix of float64>
    >>> bool(np.allclose(K @ np.ones(500), K.to_dense().sum(axis=1)))
    True
    >>> K.columns([3, 7]).shape
    (500, 2)
    """

    def __init__(
        self,
        points: Any,
        *,
        bandwidth: float,
        kernel: str = "gaussian",
        points2: Any = None,
        dtype: Any = None,
        name: str = "points",
        check_finite: bool = True,
    ) -> None:
        check_finite = validate.flag(check_finite, name="check_finite")
        self.kernel = validate.choice(kernel, tiles.RADIAL_KERNELS, name="kernel")
        self.bandwidth = validate.real(bandwidth, name="bandwidth")
        if self.bandwidth <= 0:
            raise InputError(f"bandwidth: expected a positive number, got {bandwidth}")
        first = _real_points(points, name)
        second = first if points2 is None else _real_points(points2, f"{name}2")
        if first.shape[1] != second.shape[1]:
            raise InputError(
                f"{name}2: expected points of dimension {first.shape[1]}, got shape {second.shape}"
            )
        wanted = np.result_type(first, second) if dtype is None else validate.map_dtype(dtype)
        self.points: Array = validate.native(first, wanted, name=name)
        self.points2: Array = (
            self.points if points2 is None else validate.native(second, wanted, name=f"{name}2")
        )
        if check_finite:
            validate.require_finite(self.points, name=name)
            if points2 is not None:
                validate.require_finite(self.points2, name=f"{name}2")
        self.name = name
        super().__init__((len(self.points), len(self.points2)), wanted, check_finite=check_finite)

    # -- entries -------------------------------------------------------------------------------------

    def entries(self, rows: Any, columns: Any) -> Array:
        """The block of these rows and columns, shape ``(len(rows), len(columns))``.

        Raises
        ------
        InputError
            An index is no integer or outside of the matrix.
        """
        rows = validate.indices(rows, self.shape[0], name="rows")
        columns = validate.indices(columns, self.shape[1], name="columns")
        return self._block_of(self.points[rows], self.points2[columns])

    def columns(self, indices: Any, *, out: Array | None = None) -> Array:
        """Whole columns, shape (m, j); put into `out` where it is given."""
        indices = validate.indices(indices, self.shape[1], name="indices")
        return self._block_of(self.points, self.points2[indices], out)

    def diagonal(self) -> Array:
        """The first min(m, n) diagonal entries."""
        size = min(self.shape)
        if self.points is self.points2:
            # k(0) = 1; a point that is not finite has no distance to itself.
            finite = np.isfinite(self.points[:size]).all(axis=1)
            return np.where(finite, 1.0, np.nan).astype(self.dtype)
        step, out = 64, np.empty(size, self.dtype)
        for i in range(0, size, step):
            part = slice(i, min(size, i + step))
            out[part] = np.diagonal(self._block_of(self.points[part], self.points2[part]))
        return out

    def to_dense(self) -> Array:
        """The whole matrix as an array."""
        return self._block_of(self.points, self.points2)

    def _block_of(self, x: Array, y: Array, out: Array | None = None) -> Array:
        return tiles.kernel_block(x, y, kernel=self.kernel, bandwidth=self.bandwidth, out=out)

    # -- products ------------------------------------------------------------------------------------

    def _matmat(self, X: Array) -> Array:
        return self._product(self.points, self.points2, X)

    def _rmatmat(self, Y: Array) -> Array:
        return self._product(self.points2, self.points, Y)

    def _product(self, x: Array, y: Array, V: Array) -> Array:
        real = np.result_type(self.dtype, V.real.dtype)
        if real != self.dtype:
            same = x is y
            x = x.astype(real)
            y = x if same else y.astype(real)
        if V.dtype.kind != "c":
            return tiles.kernel_product(
                x, y, V.astype(real, copy=False), kernel=self.kernel, bandwidth=self.bandwidth
            )
        # Real and imaginary parts side by side: each tile is made once.
        pairs = np.ascontiguousarray(V, np.result_type(real, np.complex64)).view(real)
        product = tiles.kernel_product(x, y, pairs, kernel=self.kernel, bandwidth=self.bandwidth)
        return product.view(np.result_type(real, np.complex64))

    @property
    def T(self) -> LinearOperator:
        """The transpose: the same kernel with the two sets of points exchanged."""
        if self.points is self.points2:
            return self
        return KernelMatrix(
            self.points2,
            points2=self.points,
            kernel=self.kernel,
            bandwidth=self.bandwidth,
            name=self.name,
            check_finite=self.check_finite,
        )

    def require_finite(self, *, name: str = "A") -> None:
        """Finite points have finite entries."""
        validate.require_finite(self.points, name=f"{name} ({self.name})")
        validate.require_finite(self.points2, name=f"{name} ({self.name}2)")


def _real_points(points: Any, name: str) -> Array:
    array = validate.as_matrix(points, name=name)
    if array.dtype.kind == "c":
        raise InputError(f"{name}: expected real points, got {array.dtype}")
    return array
