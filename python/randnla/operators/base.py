# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The operator every algorithm takes: two products, everything else follows from them."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from randnla._backend import namespace, validate
from randnla._backend.device import place
from randnla._backend.errors import InputError

Array = npt.NDArray[Any]

# What a product with a random map may hold of the map at a time.
MAP_BLOCK_BYTES = 16 << 20

# Numbers of dimensions of what operators multiply: vectors, blocks of columns, stacks of blocks.
VECTORS_AND_STACKS = tuple(range(1, 33))


def is_map(S: object) -> bool:
    """True for random maps: they say so themselves, since their room stands above this one."""
    return bool(getattr(type(S), "is_random_map", False))


class LinearOperator(ABC):
    """An (m, n) matrix known by its products.

    Subclasses give `_matmat` and `_rmatmat` for blocks of columns that `matmat` and `rmatmat` have
    checked. `+`, `-`, `*` by a number, `@`, `.T` and `.H` build lazy operators from operators, and apply
    to arrays: vectors, matrices and, as in NumPy, stacks of matrices along leading axes.

    Parameters
    ----------
    shape : tuple of int
    dtype : float32, float64, complex64 or complex128
    check_finite : bool
        Whether drivers are to look for NaN and Inf.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.operators import Dense
    >>> A = Dense(np.array([[1.0, 2.0], [0.0, 1.0]]))
    >>> (A.T @ A + 2.0 * A) @ np.ones(2)
    array([9., 9.])
    """

    # NumPy arrays then leave `array @ operator` and `scalar * operator` to us.
    __array_ufunc__ = None
    __array_priority__ = 1000.0

    def __init__(self, shape: tuple[int, int], dtype: Any, *, check_finite: bool = True) -> None:
        self.shape: tuple[int, int] = (int(shape[0]), int(shape[1]))
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.check_finite = check_finite

    ndim = 2
    on_device = False  # what it is made of is on a GPU, and so must be what it multiplies

    # -- what subclasses give ------------------------------------------------------------------------

    @abstractmethod
    def _matmat(self, X: Array) -> Array:
        """``A @ X`` for X (n, k)."""

    @abstractmethod
    def _rmatmat(self, Y: Array) -> Array:
        """``A.conj().T @ Y`` for Y (m, k)."""

    def frobenius_norm(self) -> float | None:
        """The Frobenius norm, or None where it is not known without products."""
        return None

    def require_finite(self, *, name: str = "A") -> None:  # noqa: B027 - nothing to look at is a fine default
        """Raise `NonFiniteError` naming count and first index of NaN and Inf, if entries can be seen."""

    def sketch(self, S: Any) -> Array:
        """``S @ A`` for a random map S (d, m), which stands in memory a block of rows at a time."""
        self._match(S.shape[1], self.shape[0], "S @ A", S.shape)
        out = np.empty((S.shape[0], self.shape[1]), dtype=np.result_type(S.dtype, self.dtype))
        for start, stop in _map_rows(S):
            # S A = (A^H S^T)^H, since S is real.
            out[start:stop] = self.rmatmat(S[start:stop].to_dense().T).conj().T
        return out

    def rsketch(self, S: Any) -> Array:
        """``A @ S.T`` for a random map S (d, n)."""
        self._match(S.shape[1], self.shape[1], "A @ S.T", S.shape)
        out = np.empty((self.shape[0], S.shape[0]), dtype=np.result_type(S.dtype, self.dtype))
        for start, stop in _map_rows(S):
            out[:, start:stop] = self.matmat(S[start:stop].to_dense().T)
        return out

    # -- products ------------------------------------------------------------------------------------

    @overload
    def matmat(self, X: Array) -> Array: ...
    @overload
    def matmat(self, X: Any) -> Any: ...
    def matmat(self, X: Any) -> Any:
        """``A @ X`` for an array X of shape (n,), (n, k) or (..., n, k), an array of the kind of X.

        A stack goes through the product as one block of columns, so that one pass over A serves it all; it
        is copied for that.

        Raises
        ------
        InputError
            X has another number of rows.
        """
        block = self._block(X, self.shape[1], "A @ X", "X")
        return namespace.restore(namespace.kind_of(X), self._applied(self._matmat, block))

    @overload
    def rmatmat(self, Y: Array) -> Array: ...
    @overload
    def rmatmat(self, Y: Any) -> Any: ...
    def rmatmat(self, Y: Any) -> Any:
        """``A.conj().T @ Y`` for an array Y of shape (m,), (m, k) or (..., m, k), of the kind of Y."""
        block = self._block(Y, self.shape[0], "A.H @ Y", "Y")
        return namespace.restore(namespace.kind_of(Y), self._applied(self._rmatmat, block))

    def _applied(self, product: Callable[[Array], Array], block: Array) -> Array:
        if not self.on_device:
            return on_columns(product, block)
        with place(block):
            return on_columns(product, block)

    @overload
    def matvec(self, x: Array) -> Array: ...
    @overload
    def matvec(self, x: Any) -> Any: ...
    def matvec(self, x: Any) -> Any:
        """``A @ x``."""
        return self.matmat(x)

    @overload
    def rmatvec(self, y: Array) -> Array: ...
    @overload
    def rmatvec(self, y: Any) -> Any: ...
    def rmatvec(self, y: Any) -> Any:
        """``A.conj().T @ y``."""
        return self.rmatmat(y)

    def to_dense(self) -> Array:
        """The matrix as an array, by products with the identity."""
        m, n = self.shape
        if n <= m:
            return self._matmat(np.eye(n, dtype=self.dtype))
        return self._rmatmat(np.eye(m, dtype=self.dtype)).conj().T

    def _block(self, X: Any, rows: int, product: str, name: str) -> Array:
        if self.on_device:
            array: Array = validate.device_array(X, self.dtype, name=name, ndim=(1, 2))
        else:
            array = validate.as_array(X, name=name, ndim=VECTORS_AND_STACKS)
        self._match(array.shape[-2 if array.ndim > 1 else 0], rows, product, array.shape)
        return array

    def _match(self, got: int, wanted: int, product: str, shape: tuple[int, ...]) -> None:
        if got != wanted:
            raise InputError(f"{product}: A has shape {self.shape}, the other factor {tuple(shape)}")

    # -- algebra -------------------------------------------------------------------------------------

    @property
    def T(self) -> LinearOperator:
        """The transpose, a view."""
        from randnla.operators.algebra import Transposed

        return Transposed(self)

    @property
    def H(self) -> LinearOperator:
        """The conjugate transpose, a view."""
        from randnla.operators.algebra import Adjoint

        return Adjoint(self) if self.dtype.kind == "c" else self.T

    def __matmul__(self, other: Any) -> Any:
        from randnla.operators.algebra import Product

        other = _ours(other)
        if isinstance(other, LinearOperator):
            return Product(self, other)
        if is_map(other) or getattr(other, "is_map_transpose", False):
            return NotImplemented
        if namespace.is_sparse(other):
            other = other.toarray()
        return self.matmat(other)

    def __rmatmul__(self, other: Any) -> Any:
        from randnla.operators.algebra import Product

        other = _ours(other)
        if isinstance(other, LinearOperator):
            return Product(other, self)
        # X A = (A^H X^H)^H
        if is_map(other) or getattr(other, "is_map_transpose", False):
            return NotImplemented
        kind = namespace.kind_of(other)
        if self.on_device:
            array = validate.device_array(other, self.dtype, name="X", ndim=(1, 2))
            return namespace.restore(kind, self.rmatmat(array.T).T)
        array = validate.as_array(other, name="X", ndim=VECTORS_AND_STACKS)
        return namespace.restore(kind, _turned(self.rmatmat(_turned(array).conj())).conj())

    def __add__(self, other: Any) -> LinearOperator:
        from randnla.operators.algebra import Sum

        other = _ours(other)
        return Sum(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __sub__(self, other: Any) -> LinearOperator:
        other = _ours(other)
        return self + (-1.0) * other if isinstance(other, LinearOperator) else NotImplemented

    def __mul__(self, scalar: Any) -> LinearOperator:
        from randnla.operators.algebra import Scaled

        return Scaled(scalar, self) if isinstance(scalar, numbers.Complex) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, scalar: Any) -> LinearOperator:
        return self * (1.0 / complex(scalar)) if isinstance(scalar, numbers.Complex) else NotImplemented

    def __neg__(self) -> LinearOperator:
        return self * -1.0

    def __repr__(self) -> str:
        return f"<{self.shape[0]} x {self.shape[1]} {type(self).__name__} of {self.dtype}>"


def on_columns(product: Callable[[Array], Array], X: Array) -> Array:
    """A product with blocks of columns, of a vector (n,), a block (n, k) or a stack of blocks (..., n, k)."""
    if X.ndim == 2:
        return product(X)
    if X.ndim == 1:
        return product(X[:, None])[:, 0]
    rows_first = np.moveaxis(X, -2, 0)
    block = product(rows_first.reshape(X.shape[-2], math.prod(rows_first.shape[1:])))
    return np.moveaxis(block.reshape(len(block), *rows_first.shape[1:]), 0, -2)


def _turned(X: Array) -> Array:
    """The transpose of a matrix, or of every matrix of a stack; a vector as it is."""
    return X if X.ndim == 1 else np.swapaxes(X, -1, -2)


def _ours(other: Any) -> Any:
    """A foreign operator as one of ours; all else as it is."""
    from randnla.operators.convert import as_operator, is_foreign

    return as_operator(other) if is_foreign(other) else other


def _map_rows(S: Any) -> list[tuple[int, int]]:
    d, width = S.shape
    step = max(1, MAP_BLOCK_BYTES // max(1, width * S.dtype.itemsize))
    return [(start, min(d, start + step)) for start in range(0, d, step)]
