# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Low rank, and a diagonal plus low rank: the algebra of Woodbury."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg

from randnla._backend import namespace, validate
from randnla._backend.device import is_device, place, runtime
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, device_dense, qr
from randnla.operators.base import Array
from randnla.operators.device import DeviceDense
from randnla.operators.diagonal import Diagonal
from randnla.operators.factored import lu_factors
from randnla.operators.structured import Structured, magnitude_ratio, require_positive


def widened(X: Array) -> Array:
    """X in float64 (complex128): what capacitance matrices are formed and factored in."""
    return X.astype(np.complex128 if np.iscomplexobj(X) else np.float64, copy=False)


class LowRank(Structured):
    """``U C V^H``, with V = U and C = I unless given.

    Parameters
    ----------
    U : array of shape (m, r)
    C : array of shape (r, r) or (r,), optional
        The core; one-dimensional for a diagonal one.
    V : array of shape (n, r), optional
        U and V may be on a GPU, C is on the host: products are then with arrays there.

    Raises
    ------
    InputError
        Shapes do not fit.

    Notes
    -----
    *Cost*: 2 (m + n) r flops for each column of a product; memory of the factors, which are not copied.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import LowRank
    >>> A = LowRank(np.ones((3, 1)), C=[2.0])
    >>> A.trace(), A @ np.array([1.0, 0.0, 0.0])
    (6.0, array([2., 2., 2.]))
    """

    def __init__(self, U: Any, C: Any = None, V: Any = None, *, check_finite: bool = True) -> None:
        self.on_device = namespace.kind_of(U).on_device
        self.U: Array = (
            validate.native_array(U, name="U", ndim=2)[0]
            if self.on_device
            else validate.as_matrix(U, name="U")
        )
        r = self.U.shape[1]
        self.V: Array | None = None
        if V is not None and self.on_device:
            self.V = validate.device_array(V, self.U.dtype, name="V", ndim=2)
        elif V is not None:
            self.V = validate.as_matrix(V, name="V")
        if self.V is not None and self.V.shape[1] != r:
            raise InputError(f"V: expected {r} columns as of U, got shape {self.V.shape}")
        self.C: Array | None = None if C is None else validate.as_array(C, name="C", ndim=(1, 2))
        if self.C is not None and self.C.shape not in ((r,), (r, r)):
            raise InputError(f"C: expected shape ({r},) or ({r}, {r}), got {self.C.shape}")
        if self.on_device and self.C is not None and self.C.dtype.kind == "c":
            raise InputError(f"C: expected real numbers beside factors on a GPU, got {self.C.dtype}")
        parts = [X for X in (self.U, self.C, self.V) if X is not None]
        dtype = self.U.dtype if self.on_device else np.result_type(*parts)
        super().__init__((self.U.shape[0], self._right.shape[0]), dtype, check_finite=check_finite)

    @property
    def _right(self) -> Array:
        return self.U if self.V is None else self.V

    @property
    def rank(self) -> int:
        """Columns of the factors, r."""
        return int(self.U.shape[1])

    def core(self) -> Array:
        """C as an (r, r) array."""
        if self.C is None:
            return np.eye(self.rank, dtype=self.dtype)
        return np.diag(self.C) if self.C.ndim == 1 else self.C

    def _times_core(self, X: Array) -> Array:
        if self.C is None:
            return X
        if is_device(X):
            # X is of r rows: a core, too.
            return dense.gemm(self.core(), X)
        return self.C[:, None] * X if self.C.ndim == 1 else dense.gemm(self.C, X)

    def _matmat(self, X: Array) -> Array:
        return dense.gemm(self.U, self.coefficients(X))

    def coefficients(self, X: Array) -> Array:
        """``C V^H X``, what the columns of U are multiplied by."""
        return self._times_core(dense.gemm(self._right.conj().T, X))

    def _rmatmat(self, Y: Array) -> Array:
        return self.H._matmat(Y)

    @property
    def H(self) -> LowRank:
        """``V C^H U^H``."""
        C = None if self.C is None else self.C.conj().T
        V = None if self.V is None else self.U
        return LowRank(self._right, C, V, check_finite=self.check_finite)

    def diag(self) -> Array:
        """The diagonal, in O((m + n) r) with a diagonal core."""
        if self.on_device:
            raise self._none("diagonal of factors on a GPU")
        least = min(self.shape)
        left = self.U[:least]
        if self.C is not None:
            left = left * self.C if self.C.ndim == 1 else dense.gemm(left, self.C)
        return np.asarray(np.einsum("ij,ij->i", left, self._right[:least].conj()))

    def frobenius_norm(self) -> float:
        """From two r x r Gram matrices in float64; exact to about 1e-8 of the product of the norms."""
        with place(self.U):
            left = dense.gram(self.U, wide=True)
            right = left if self.V is None else dense.gram(self.V, wide=True)
        C = widened(self.core())
        return math.sqrt(max(0.0, float(np.trace(C.conj().T @ left @ C @ right).real)))

    def slogdet(self) -> tuple[Any, float]:
        """Zero where the rank is below n."""
        self._require_square("slogdet")
        if self.rank < self.shape[0]:
            return 0.0, -math.inf
        raise self._none("determinant")

    def condition(self) -> float:
        """Infinite where the rank is below min(m, n)."""
        if self.rank < min(self.shape):
            return math.inf
        raise self._none("condition number")

    def require_finite(self, *, name: str = "A") -> None:
        """All factors."""
        for X, what in ((self.U, "U"), (self.C, "C"), (self.V, "V")):
            if X is not None and is_device(X):
                DeviceDense(X).require_finite(name=f"{name} ({what})")
            elif X is not None:
                validate.require_finite(X, name=f"{name} ({what})")


def condition_beside_identity(X: Array, C: Array, Y: Array) -> float:
    """The condition number of ``I + X C Y^H`` for X, Y (n, r) and C (r, r)."""
    # With [X, Y] = Q [R_x, R_y] it has the singular values of I + R_x C R_y^H, and ones.
    r = X.shape[1]
    _, R, _ = qr.cholesky_qr(np.concatenate([widened(X), widened(Y)], axis=1))
    s = qr.small_svd(np.eye(R.shape[0]) + R[:, :r] @ C @ R[:, r:].conj().T)[1]
    return magnitude_ratio(np.append(s, 1.0) if R.shape[0] < X.shape[0] else s)


class DiagonalPlusLowRank(Structured):
    """``diag(d) + U C V^H``: products, solves, determinants and, for a constant d, roots in O(n r).

    Parameters
    ----------
    d : float or array of shape (n,)
        The diagonal; a number stands for a constant one.
    U, C, V
        As for `LowRank`; C may be singular. On a GPU several numbers d, which are then there, too, allow
        products and no solves.

    Raises
    ------
    InputError
        Shapes do not fit.

    Notes
    -----
    *Algorithm*: Woodbury's identity with the capacitance I + C V^H D^-1 U, formed and factored in float64 at
    the first solve and kept:
    ``A^-1 = D^-1 - D^-1 U (I + C V^H D^-1 U)^-1 C V^H D^-1``. The determinant is det(D) times that of the
    capacitance. For d = alpha and Hermitian U C U^H, ``f(A) = f(alpha) I + U W diag(h) W^H U^H`` exactly,
    h the divided differences of f (Shmueli, Drineas and Avron, 2022, section 2 have the square roots).

    Where d spans many orders of magnitude Woodbury's identity loses digits: the error of a solve is of the
    order of the unit roundoff times `condition` of D times that of the capacitance.

    *Cost*: 4 n r flops for each column of a product or solve; 2 n r^2 once for the capacitance.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import DiagonalPlusLowRank
    >>> A = DiagonalPlusLowRank(2.0, np.ones((4, 1)))
    >>> A.solve(np.ones(4)).round(12), round(float(np.exp(A.logdet())), 10)
    (array([0.16666667, 0.16666667, 0.16666667, 0.16666667]), 48.0)
    """

    def __init__(self, d: Any, U: Any, C: Any = None, V: Any = None, *, check_finite: bool = True) -> None:
        self.low = LowRank(U, C, V, check_finite=check_finite)
        n = self.low.shape[0]
        if self.low.shape[1] != n:
            raise InputError(f"V: expected {n} rows as of U, got {self.low.shape[1]}")
        self.constant = np.ndim(d) == 0
        self.on_device = self.low.on_device
        if self.on_device and not self.constant:
            values = validate.device_array(d, self.low.dtype, name="d", ndim=1)
        else:
            values = validate.as_array(np.atleast_1d(d), name="d", ndim=1)
        if self.on_device and values.dtype.kind == "c":
            raise InputError("d: expected a real number beside factors on a GPU")
        if self.constant:
            # A Python number does not widen float32, as in NumPy.
            kind = np.complex64 if values.imag.any() else np.float32
            values = np.broadcast_to(values.astype(np.result_type(self.low.dtype, kind)), (n,))
        if values.size != n:
            raise InputError(f"d: expected {n} entries as U has rows, got {values.size}")
        self.d: Array = values
        dtype = self.low.dtype if self.on_device else np.result_type(self.d, self.low.dtype)
        super().__init__((n, n), dtype, check_finite=check_finite)

    def _matmat(self, X: Array) -> Array:
        if is_device(X):
            product: Array = self._on_device(self.low, X)
            return product
        return self.d[:, None] * X + self.low.matmat(X)

    def _on_device(self, low: LowRank, X: Any) -> Any:
        """``diag(d) X`` and the product of a low-rank term, which is added to it."""
        out, weights = runtime().empty(X.shape, X.dtype), None
        if not self.constant:
            d = device_dense.multiple(self.d[:, None], dtype=np.float64)
            weights = device_dense.repeated(d[:, 0], X.shape, rows=False)
        alpha = float(self.d[0]) if self.constant and self.d.size else 1.0
        device_dense.combine(out, X, alpha, weights=weights)
        return dense.gemm(low.U, low.coefficients(X), out, beta=1.0)

    def _rmatmat(self, Y: Array) -> Array:
        if is_device(Y):
            product: Array = self._on_device(self.low.H, Y)
            return product
        return self.d.conj()[:, None] * Y + self.low.rmatmat(Y)

    @property
    def H(self) -> DiagonalPlusLowRank:
        """The conjugate transpose, of the same kind."""
        low = self.low.H
        return DiagonalPlusLowRank(self._diagonal(self.d.conj()), low.U, low.C, low.V)

    def _diagonal(self, values: Array) -> Any:
        return values[0] if self.constant and values.size else values

    def diag(self) -> Array:
        """``d`` plus the diagonal of the low-rank term."""
        return self.d + self.low.diag()

    @cached_property
    def capacitance(self) -> Array:
        """``I + C V^H D^-1 U`` (r, r) in float64.

        Raises
        ------
        BreakdownError
            d has a zero.
        """
        if self.on_device and not self.constant:
            raise self._none("inverse, for a d of several numbers on a GPU,")
        if not self.d.all():
            raise BreakdownError(f"A: entry {int(np.argmin(np.abs(self.d)))} of d is zero")
        low = self.low
        # Conjugating the thin factor: (V^H D^-1 U); for real float32 summed in float64.
        if self.on_device:
            with place(low.U):
                product = dense.gram(low.U) if low.V is None else device_dense.inner(low.V, low.U)
            product = product / widened(self.d[:1])[0]
            return np.eye(low.rank) + dense.gemm(widened(low.core()), product)
        if low.V is None and self.constant:
            product = dense.gram(low.U, wide=True) / widened(self.d[:1])[0]
        else:
            product = widened(low._right).conj().T @ (widened(low.U) / widened(self.d)[:, None])
        return np.eye(low.rank) + widened(low._times_core(product))

    @cached_property
    def _factors(self) -> tuple[Array, Array]:
        return lu_factors(self.capacitance, "the capacitance I + C V^H D^-1 U")

    def inverse(self) -> DiagonalPlusLowRank:
        """The inverse, of the same kind."""
        low = self.low
        core = -scipy.linalg.lu_solve(self._factors, widened(low.core()), check_finite=False)
        if self.constant:
            alpha = widened(self.d[:1])[0]
            return DiagonalPlusLowRank(1 / alpha, low.U, (core / alpha**2).astype(self.dtype), low.V)
        left, right = low.U / self.d[:, None], low._right / self.d.conj()[:, None]
        return DiagonalPlusLowRank(1 / self.d, left, core.astype(self.dtype), right)

    def slogdet(self) -> tuple[Any, float]:
        """``slogdet(D)`` and that of the capacitance."""
        sign, value = Diagonal(self.d).slogdet()
        if not sign:
            raise self._none("determinant (d has a zero)")
        inner = np.linalg.slogdet(self.capacitance)
        return (sign * inner.sign).item(), value + float(inner.logabsdet)

    def condition(self) -> float:
        """``cond(D) cond(I + D^-1 U C V^H)``, the second exact: the condition number for a constant d."""
        if not self.d.all():
            return math.inf
        low = self.low
        if self.on_device:
            raise self._none("condition number of factors on a GPU")
        X = widened(low.U) / widened(self.d)[:, None]
        return magnitude_ratio(self.d) * condition_beside_identity(X, widened(low.core()), low._right)

    def _function(self, f: Any, what: str, *, semidefinite: bool) -> DiagonalPlusLowRank:
        """``f(A)`` for A = alpha I + U C U^H: f(alpha) off the range of U, f(alpha + w) on it."""
        low = self.low
        if self.on_device:
            raise self._none(f"{what} of factors on a GPU")
        C = low.core()
        hermitian = low.V is None and np.array_equal(C, C.conj().T) and not self.d.imag.any()
        if not (self.constant and hermitian):
            raise InputError(f"A: {what} in closed form needs a constant real d and Hermitian U C U^H")
        alpha = float(self.d[0].real) if self.d.size else 1.0
        Q, R, _ = qr.cholesky_qr(low.U)
        R = widened(R)
        core = R @ widened(C) @ R.conj().T
        w, W = np.linalg.eigh((core + core.conj().T) / 2)
        values = alpha + w
        # Rounding may push a zero eigenvalue of a semidefinite operator below zero.
        tiny = 8 * len(w) * np.finfo(self.dtype).eps * max(abs(alpha), float(np.abs(w).max(initial=0.0)))
        values = np.where(np.abs(values) <= tiny, 0.0, values) if semidefinite else values
        inside = values if low.rank >= self.shape[0] else np.append(values, alpha)
        require_positive(inside, what, semidefinite=semidefinite)
        base = f(alpha) if low.rank < self.shape[0] else 0.0
        return DiagonalPlusLowRank(
            base, dense.gemm(Q, W.astype(Q.dtype)), (f(values) - base).astype(Q.real.dtype)
        )

    def sqrt(self) -> DiagonalPlusLowRank:
        """The root, of the same kind, for a constant d and Hermitian U C U^H."""
        return self._function(np.sqrt, "sqrt", semidefinite=True)

    def inverse_sqrt(self) -> DiagonalPlusLowRank:
        """The inverse root, of the same kind, for a constant d and Hermitian U C U^H."""
        return self._function(lambda x: 1 / np.sqrt(x), "inverse_sqrt", semidefinite=False)

    def require_finite(self, *, name: str = "A") -> None:
        """The diagonal and all factors."""
        if is_device(self.d):
            DeviceDense(self.d[:, None]).require_finite(name=f"{name} (d)")
        else:
            validate.require_finite(np.asarray(self.d), name=f"{name} (d)")
        self.low.require_finite(name=name)
