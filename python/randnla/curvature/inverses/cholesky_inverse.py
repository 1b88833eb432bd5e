# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The damped inverse of an averaged factor as an array."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import BreakdownError, StateError
from randnla._backend.kernels import batched, dense, qr
from randnla._backend.kernels.dense import Array
from randnla._backend.results import Info

from ..factors.brand import BrandFactor
from ..factors.low_rank import LowRankFactor
from ..resumable import Resumable
from .protocol import Factor
from .spectral import checked_block, column_values

_LEAF = 192  # rows below which a diagonal block is factored on its own


def spd_inverse(X: Array) -> float:
    """Overwrite a Hermitian positive definite X by its inverse; return log det X.

    Notes
    -----
    Block Cholesky in its square-root-free form, by halves: with X = [A B; B^H C], W = A^-1 B and the Schur
    complement S = C - B^H W, the inverse is [A^-1 + W S^-1 W^H, -W S^-1; ., S^-1]. All but the leaves is in
    products: 4/3 d^3 flops, of which a factorization and an inversion of triangles would take d^3 at a
    lower speed.

    Raises
    ------
    BreakdownError
        X is not positive definite to rounding.
    """
    d = X.shape[0]
    if d <= _LEAF:
        return _leaf(X)
    h = d // 2
    A, B, C = X[:h, :h], X[:h, h:], X[h:, h:]
    logdet = spd_inverse(A)
    W = dense.gemm(A, B)
    dense.gemm(B.conj().T, W, C, alpha=-1.0, beta=1.0)
    logdet += spd_inverse(C)
    dense.gemm(W, C, B, alpha=-1.0)
    X[h:, :h] = B.conj().T
    dense.gemm(B, W.conj().T, A, alpha=-1.0, beta=1.0)
    return logdet


def _leaf(X: Array) -> float:
    lower, failed = batched.batched_cholesky(X[None])
    inverse, singular = batched.batched_inverse(X[None])
    if failed[0] or singular[0]:
        raise BreakdownError(
            "X: expected a positive definite matrix; a pivot of its factorization is not > 0"
        )
    X[...] = inverse[0]
    return 2.0 * float(np.log(np.diagonal(lower[0]).real, dtype=np.float64).sum())


class CholeskyInverse(Resumable):
    """``(X + damping I)^-1`` of a semidefinite factor X, held as an array.

    Attributes
    ----------
    matrix : (d, d) array
    damping : float
        In the inverse as it is. What is set counts from the next refresh on: unlike inverses in eigenvectors
        this one has to be computed afresh.
    info : Info
        Of the last refresh: `condition` in the 1-norm; `path` says "float64" where float32 would have left
        less than two digits.

    Notes
    -----
    *Algorithm*: block Cholesky by halves, all in products.

    *Cost*: 4/3 d^3 flops a refresh, 2 d^2 a column of ``apply``; 3/2 d^2 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import CholeskyInverse, KroneckerFactor
    >>> factor = KroneckerFactor(2, dtype=np.float64)
    >>> factor.update(np.array([[2.0, 0.0], [0.0, 4.0]]))
    >>> inverse = CholeskyInverse()
    >>> inverse.refresh(factor, damping=2.0)
    >>> inverse.apply(np.array([4.0, 10.0]))
    array([1., 1.])
    """

    _KIND: ClassVar[str] = "CholeskyInverse"
    _TYPES: ClassVar[dict[str, type]] = {
        "dtype": str,
        "matrix": np.ndarray,
        "damping": float,
        "next_damping": float,
        "logdet": float,
        "condition": float,
    }

    def __init__(self) -> None:
        self._matrix = np.zeros((0, 0))
        self._damping = 0.0
        self._next = 0.0
        self._logdet = 0.0
        self.info = Info(method="none", rank=0)

    @property
    def damping(self) -> float:
        """What was added to every eigenvalue, at the last refresh."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        self._next = validate.real(value, name="damping", low=0.0)

    @property
    def dim(self) -> int:
        """Rows of the factor last seen, 0 before the first."""
        return self._matrix.shape[0]

    @property
    def spectral(self) -> None:
        """Eigenvectors are not known."""
        return

    @property
    def matrix(self) -> Array | None:
        """The damped inverse."""
        return self._matrix

    def cast(self, dtype: Any) -> Self:
        """Hold the inverse in another dtype; what does not fit becomes infinite."""
        with np.errstate(over="ignore"):
            self._matrix = self._matrix.astype(dtype, copy=False)
        return self

    def refresh(self, factor: Factor | BrandFactor | LowRankFactor, damping: float | None = None) -> None:
        """Invert the factor as it is now.

        Parameters
        ----------
        factor : KroneckerFactor or alike
        damping : float, optional
            Nonnegative; what was set last unless given.

        Raises
        ------
        InputError
            `damping` does not fit.
        NonFiniteError, BreakdownError
            The factor is not finite, or not positive definite with the damping. The inverse is what it was.
        """
        damping = self._next if damping is None else validate.real(damping, name="damping", low=0.0)
        whole = factor.value
        validate.require_finite(whole, name="X")
        dtype = whole.dtype
        eps = float(np.finfo(dtype).eps)
        made, logdet, condition = _inverted(whole, damping)
        path = dtype.name
        if condition * eps > 1e-2 and np.dtype(np.result_type(dtype, np.float64)) != dtype:
            wide = np.dtype(np.result_type(dtype, np.float64))
            made, logdet, condition = _inverted(factor.value.astype(wide), damping)
            made, path, eps = made.astype(dtype), wide.name, float(np.finfo(wide).eps)
        self._matrix, self._logdet = made, logdet
        self._damping = self._next = damping
        self.info = Info(
            rank=factor.dim,
            method="cholesky",
            error_kind="backward",
            error_relative=min(1.0, eps * condition),
            converged=True,
            path=path,
            condition=condition,
            memory=made.nbytes * 3 // 2,
        )

    def apply(self, V: Any) -> Any:
        """``(X + damping I)^-1 V``.

        Parameters
        ----------
        V : array, shape (d,) or (d, k)

        Returns
        -------
        array of the shape and kind of V

        Raises
        ------
        InputError, NonFiniteError
            V does not fit, or holds NaN or Inf.
        StateError
            There has been no refresh.
        """
        out = dense.gemm(self._matrix, checked_block(V, self.dim, self._matrix.dtype))
        return namespace.restore(namespace.kind_of(V), out.reshape(np.shape(V)))

    def quadform(self, v: Any) -> Any:
        """``v^H (X + damping I)^-1 v`` of v (d,), or of every column of v (d, k), summed in float64."""
        block = checked_block(v, self.dim, self._matrix.dtype, name="v")
        wide = np.result_type(block.dtype, np.float64)
        products = block.conj().astype(wide) * dense.gemm(self._matrix, block)
        return column_values(np.maximum(products.sum(axis=0).real, 0.0), v)

    def logdet(self) -> float:
        """``log det (X + damping I)``."""
        if self.dim == 0:
            raise StateError("inverse: expected a refresh before it is applied")
        return self._logdet

    def _fields(self) -> dict[str, Any]:
        return {
            "dtype": self._matrix.dtype.name,
            "matrix": self._matrix.copy(),
            "damping": self._damping,
            "next_damping": self._next,
            "logdet": self._logdet,
            "condition": self.info.condition or 0.0,
        }

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        made = cls()
        order = fields["matrix"].shape[0] if fields["matrix"].ndim == 2 else -1
        made._matrix = plain_state.array_of(fields, "matrix", (order, order), fields["dtype"])
        made._damping = validate.real(fields["damping"], name="damping", low=0.0)
        made.damping = fields["next_damping"]
        made._logdet = float(fields["logdet"])
        made.info = Info(rank=order, method="cholesky", path="loaded", condition=float(fields["condition"]))
        return made

    def __copy__(self) -> Self:
        # A refresh replaces arrays and never writes into them: copies may share them.
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made


def _inverted(X: Array, damping: float) -> tuple[Array, float, float]:
    """``(X + damping I)^-1`` in the place of X, log det, and the condition in the 1-norm."""
    exponent = math.frexp(float(np.diagonal(X).real.max(initial=0.0)) + damping)[1]
    qr.scale_by_power(X, -exponent)  # a Cholesky factor of 2 X has other bits than one of X
    X[np.diag_indices(len(X))] += X.real.dtype.type(math.ldexp(damping, -exponent))
    norm = float(np.abs(X).sum(axis=0, dtype=np.float64).max(initial=0.0))
    logdet = spd_inverse(X) + len(X) * exponent * math.log(2.0)
    condition = norm * float(np.abs(X).sum(axis=0, dtype=np.float64).max(initial=0.0))
    if not math.isfinite(condition):
        raise BreakdownError("X: the inverse of a matrix is not finite")
    return qr.scale_by_power(X, -exponent), logdet, condition
