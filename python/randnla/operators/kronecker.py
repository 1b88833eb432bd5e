# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kronecker products and sums of operators, never formed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend.device import runtime
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, device_dense
from randnla.operators.algebra import Product
from randnla.operators.base import Array, LinearOperator
from randnla.operators.device import DeviceDense
from randnla.operators.diagonal import Diagonal
from randnla.operators.structured import (
    Structured,
    magnitude_ratio,
    require_positive,
    structured,
)


def _operators(
    factors: tuple[Any, ...], names: tuple[str, ...] = (), *, device: bool = False
) -> tuple[LinearOperator, ...]:
    from randnla.operators.convert import as_operator

    if not factors:
        raise InputError("factors: expected at least one")
    names = names or tuple(f"factors[{i}]" for i in range(len(factors)))
    return tuple(as_operator(A, name=name, device=device) for A, name in zip(factors, names, strict=True))


def _eigh(op: LinearOperator, name: str) -> tuple[Array, Array]:
    """Of a factor that errors call by its name."""
    op.require_finite(name=name)
    try:
        return structured(op, "eigenvectors").eigh()
    except InputError as problem:
        raise InputError(f"{name}: {str(problem).removeprefix('A: ')}") from None


def apply_to_axis(op: LinearOperator, X: Array, *, adjoint: bool) -> Array:
    """`op` (or its adjoint) along the middle axis of X (left, n, right)."""
    left, n, right = X.shape
    if isinstance(op, DeviceDense):
        turned: Array = _apply_on_device(op.entries.T if adjoint else op.entries, X)
        return turned
    array = getattr(op, "array", None)
    if array is not None and right == 1:
        # X (left, n) times the transpose: one product whatever the layout.
        factor = array.conj() if adjoint else array.T
        return dense.gemm(X[:, :, 0], factor)[:, :, None]
    product: Callable[[Array], Array] = op.rmatmat if adjoint else op.matmat
    if left == 1:
        return product(X[0])[None]
    if right >= 16 and array is not None:
        return np.stack([product(X[i]) for i in range(left)])
    # Few columns on the right: one product with all slices side by side.
    m = op.shape[1] if adjoint else op.shape[0]
    side = product(np.moveaxis(X, 1, 0).reshape(n, left * right))
    return np.ascontiguousarray(np.moveaxis(side.reshape(m, left, right), 0, 1))


def _apply_on_device(A: Any, X: Any) -> Any:
    """A along the middle axis, by products with the slices of the shorter of the other two."""
    left, _, right = X.shape
    out = runtime().empty((left, len(A), right), X.dtype)
    if left <= right:
        for i in range(left):
            dense.gemm(A, X[i], out[i])
    else:
        for j in range(right):
            dense.gemm(X[:, :, j], A.T, out[:, :, j])
    return out


class Kronecker(Structured):
    """``A_1 kron A_2 kron ... kron A_p``, as `numpy.kron` orders it.

    ``(A kron B) @ V.ravel()`` is ``(A @ V @ B.T).ravel()`` for V of shape (columns of A, columns of B).

    Parameters
    ----------
    *factors : arrays, sparse matrices or operators
        At least one; `Diagonal`, `LowRank`, `DiagonalPlusLowRank` and `Kronecker` keep their closed forms.
        Arrays on a GPU, all of one dtype, have products with arrays there and no closed forms.

    Raises
    ------
    InputError
        A factor is no matrix, or not on the GPU that others are on.

    Notes
    -----
    *Algorithm*: one product for each factor along its axis. Inverses, roots and pseudo-determinants are
    those of the factors: ``(A kron B)^-1 = A^-1 kron B^-1``, ``logdet = sum_i (n / n_i) logdet A_i``.

    *Cost*: 2 n sum_i m_i flops for each column of a square product, n = prod n_i; memory of two such columns.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import Kronecker
    >>> A, B = np.diag([1.0, 2.0]), np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> K = Kronecker(A, B)
    >>> bool(np.allclose(K.to_dense(), np.kron(A, B))), K.trace()
    (True, 12.0)
    >>> bool(np.allclose(np.kron(A, B) @ K.solve(np.arange(4.0)), np.arange(4.0)))
    True
    """

    def __init__(self, *factors: Any) -> None:
        self.factors = _operators(factors, device=True)
        self.on_device = any(A.on_device for A in self.factors)
        if self.on_device:
            first = self.factors[0]
            for i, A in enumerate(self.factors):
                if not isinstance(A, DeviceDense) or A.dtype != first.dtype:
                    raise InputError(
                        f"factors[{i}]: expected arrays of one dtype on a GPU, or none there, got "
                        f"{A!r} beside {first!r}"
                    )
        super().__init__(
            (math.prod(A.shape[0] for A in self.factors), math.prod(A.shape[1] for A in self.factors)),
            np.result_type(*(A.dtype for A in self.factors)),
            check_finite=any(A.check_finite for A in self.factors),
        )

    def _matmat(self, X: Array) -> Array:
        return self._apply(X, adjoint=False)

    def _rmatmat(self, Y: Array) -> Array:
        return self._apply(Y, adjoint=True)

    def _apply(self, X: Array, *, adjoint: bool) -> Array:
        k = X.shape[1]
        if self.on_device and not X.flags.c_contiguous:
            X = device_dense.combine(runtime().empty(X.shape, X.dtype), X)
        shapes = [A.shape[::-1] if adjoint else A.shape for A in self.factors]
        done = 1
        for i, (A, (m, n)) in enumerate(zip(self.factors, shapes, strict=True)):
            rest = math.prod(columns for _, columns in shapes[i + 1 :])
            X = apply_to_axis(A, X.reshape(done, n, rest * k), adjoint=adjoint)
            done *= m
        return X.reshape(done, k)

    def _map(self, what: str, call: Callable[[Structured], LinearOperator]) -> Kronecker:
        return Kronecker(*(call(structured(A, what)) for A in self.factors))

    @property
    def T(self) -> Kronecker:
        """The Kronecker product of the transposes."""
        return Kronecker(*(A.T for A in self.factors))

    @property
    def H(self) -> Kronecker:
        """The Kronecker product of the conjugate transposes."""
        return Kronecker(*(A.H for A in self.factors))

    def diag(self) -> Array:
        """The Kronecker product of the diagonals; square factors only."""
        self._require_square_factors("diag")
        out = np.ones(1, self.dtype)
        for A in self.factors:
            out = np.multiply.outer(out, structured(A, "diag").diag()).ravel()
        return out

    def trace(self) -> Any:
        """The product of the traces."""
        self._require_square_factors("trace")
        return math.prod(structured(A, "trace").trace() for A in self.factors)

    def inverse(self) -> Kronecker:
        """The Kronecker product of the inverses."""
        self._require_square_factors("inverse")
        return self._map("inverse", lambda A: A.inverse())

    def slogdet(self) -> tuple[Any, float]:
        """From those of the factors."""
        self._require_square_factors("slogdet")
        sign, total = 1.0, 0.0
        for A in self.factors:
            one, value = structured(A, "slogdet").slogdet()
            copies = self.shape[0] // A.shape[0]
            sign, total = sign * one**copies, total + copies * value
        return sign, total

    def sqrt(self) -> Kronecker:
        """The Kronecker product of the roots."""
        return self._map("sqrt", lambda A: A.sqrt())

    def inverse_sqrt(self) -> Kronecker:
        """The Kronecker product of the inverse roots."""
        return self._map("inverse_sqrt", lambda A: A.inverse_sqrt())

    def condition(self) -> float:
        """The product of the condition numbers."""
        return math.prod(structured(A, "condition").condition() for A in self.factors)

    def frobenius_norm(self) -> float | None:
        """The product of the norms, where all are known."""
        norms = [A.frobenius_norm() for A in self.factors]
        return None if None in norms else math.prod(x for x in norms if x is not None)

    def _require_square_factors(self, what: str) -> None:
        for i, A in enumerate(self.factors):
            if A.shape[0] != A.shape[1]:
                raise InputError(f"factors[{i}]: {what} needs square factors, got shape {A.shape}")

    def require_finite(self, *, name: str = "A") -> None:
        """All factors."""
        for i, A in enumerate(self.factors):
            A.require_finite(name=f"{name} (factor {i})")


class KroneckerSum(Structured):
    """``A kron I + I kron B`` of square A and B: V of shape (n_A, n_B) goes to ``A V + V B^T``.

    Parameters
    ----------
    A, B : arrays or operators, square
        Hermitian ones have inverses, determinants and roots in closed form.

    Raises
    ------
    InputError
        A or B is not square.

    Notes
    -----
    *Algorithm*: with A = P diag(a) P^H and B = Q diag(b) Q^H every function f of the sum is
    ``(P kron Q) diag(f(a_i + b_j)) (P kron Q)^H``. The eigenvectors are computed at the first call and kept.

    *Cost*: 2 n_A n_B (n_A + n_B) flops for each column of a product, twice that of a function; one
    eigendecomposition of each.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import KroneckerSum
    >>> K = KroneckerSum(np.diag([1.0, 2.0]), np.diag([3.0, 5.0]))
    >>> K.diag(), K.solve(np.ones(4)).round(3)
    (array([4., 6., 5., 7.]), array([0.25 , 0.167, 0.2  , 0.143]))
    """

    def __init__(self, A: Any, B: Any) -> None:
        self.left, self.right = _operators((A, B), names=("A", "B"))
        for op, what in ((self.left, "A"), (self.right, "B")):
            if op.shape[0] != op.shape[1]:
                raise InputError(f"{what}: expected a square matrix, got shape {op.shape}")
        n = self.left.shape[0] * self.right.shape[0]
        super().__init__(
            (n, n),
            np.result_type(self.left.dtype, self.right.dtype),
            check_finite=self.left.check_finite or self.right.check_finite,
        )
        self._eigen: tuple[Kronecker, Array] | None = None

    def _matmat(self, X: Array) -> Array:
        return self._apply(X, adjoint=False)

    def _rmatmat(self, Y: Array) -> Array:
        return self._apply(Y, adjoint=True)

    def _apply(self, X: Array, *, adjoint: bool) -> Array:
        a, b, k = self.left.shape[0], self.right.shape[0], X.shape[1]
        first = apply_to_axis(self.left, X.reshape(1, a, b * k), adjoint=adjoint).reshape(a * b, k)
        return first + apply_to_axis(self.right, X.reshape(a, b, k), adjoint=adjoint).reshape(a * b, k)

    @property
    def T(self) -> KroneckerSum:
        """Of the transposes."""
        return KroneckerSum(self.left.T, self.right.T)

    @property
    def H(self) -> KroneckerSum:
        """Of the conjugate transposes."""
        return KroneckerSum(self.left.H, self.right.H)

    def diag(self) -> Array:
        """Sums of the diagonals."""
        return np.add.outer(
            structured(self.left, "diag").diag(), structured(self.right, "diag").diag()
        ).ravel()

    def eigen(self) -> tuple[Kronecker, Array]:
        """P kron Q and the eigenvalues a_i + b_j.

        Raises
        ------
        InputError
            A or B is not Hermitian.
        """
        if self._eigen is None:
            (a, P), (b, Q) = (_eigh(op, name) for op, name in ((self.left, "A"), (self.right, "B")))
            self._eigen = Kronecker(P, Q), np.add.outer(a, b).ravel()
        return self._eigen

    def _function(self, values: Array) -> LinearOperator:
        basis, _ = self.eigen()
        return Product(Product(basis, Diagonal(values.astype(basis.dtype.type(0).real.dtype))), basis.H)

    def inverse(self) -> LinearOperator:
        """In the basis of the eigenvectors."""
        return self._function(Diagonal(self.eigen()[1]).inverse().values)

    def slogdet(self) -> tuple[Any, float]:
        """From the eigenvalues."""
        return Diagonal(self.eigen()[1]).slogdet()

    def sqrt(self) -> LinearOperator:
        """In the basis of the eigenvectors."""
        values = self.eigen()[1]
        require_positive(values, "sqrt", semidefinite=True)
        return self._function(np.sqrt(values))

    def inverse_sqrt(self) -> LinearOperator:
        """In the basis of the eigenvectors."""
        values = self.eigen()[1]
        require_positive(values, "inverse_sqrt")
        return self._function(1 / np.sqrt(values))

    def condition(self) -> float:
        """From the eigenvalues."""
        return magnitude_ratio(self.eigen()[1])

    def require_finite(self, *, name: str = "A") -> None:
        """Both."""
        self.left.require_finite(name=f"{name} (left)")
        self.right.require_finite(name=f"{name} (right)")
