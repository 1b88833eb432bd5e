# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Powers of a shifted Kronecker product of two factors known by their spectra."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, kron, qr
from randnla.operators.base import Array, LinearOperator
from randnla.operators.spectrum import Spectrum, Values
from randnla.operators.structured import Structured


@dataclass(frozen=True)
class Shifts:
    """``(A + left I) kron (B + right I) + whole I``, in units of the two spectra."""

    left: float
    right: float
    whole: float


class KroneckerFunction(Structured):
    """``((A + a I) kron (B + b I) + c I)^p`` with p = 1, -1, 1/2 or -1/2, of positive semidefinite A and B.

    Made by `DampedKronecker` and by `inverse`, `sqrt` and `inverse_sqrt` of what it makes.
    """

    def __init__(self, left: Spectrum, right: Spectrum, shifts: Shifts, halves: int, dtype: Any) -> None:
        self.left, self.right, self.shifts, self.halves = left, right, shifts, halves
        n = left.order * right.order
        super().__init__((n, n), dtype, check_finite=False)
        # V goes to A V B^T: what stands on the right are the conjugates of the eigenvectors of B.
        P, Q = left.basis, right.basis
        self._P = None if P is None else P.astype(self.dtype, copy=False)
        self._Q = None if Q is None else Q.conj().astype(self.dtype, copy=False)
        # 2^exponent of the factors comes back with the weights, as far as float64 reaches.
        exponent, odd = divmod((left.exponent + right.exponent) * halves, 2)
        within = max(-1000, min(1000, exponent))
        self._rest_exponent = exponent - within
        self._weights = kron.KronWeights(
            left.extended + shifts.left,
            right.extended + shifts.right,
            shifts.whole,
            halves,
            math.ldexp(math.sqrt(2.0) if odd else 1.0, within),
        )

    # -- how it is applied -----------------------------------------------------------------------------

    def _extremes(self) -> tuple[float, float]:
        """The least and the largest number under the power, in units of the spectra."""
        s, t, whole = self._weights.s, self._weights.t, self._weights.damping
        if not (s.size and t.size):
            return 1.0, 1.0
        return float(s.min() * t.min()) + whole, float(s.max() * t.max()) + whole

    @cached_property
    def _largest_weight(self) -> float:
        """The largest of the weights: those of inverses are finite since their operators are refused else."""
        x = self._extremes()[self.halves > 0]
        root = math.sqrt(x) if abs(self.halves) == 1 else x
        return self._weights.scale * (root if self.halves > 0 else 1 / root)

    def condition(self) -> float:
        """From the eigenvalues."""
        least, largest = self._extremes()
        return float((largest / least) ** (abs(self.halves) / 2)) if least > 0 else math.inf

    def _spread(self) -> float:
        """Condition times unit roundoff and the growth of sums: rounding over what is to be seen."""
        least, largest = self._extremes()
        order = max(self.left.order, self.right.order, 1)
        return (
            16 * math.sqrt(order) * float(np.finfo(self.dtype).eps) * (largest / least if least else math.inf)
        )

    @property
    def _delicate(self) -> bool:
        """Whether rounding of the largest weight could outweigh the least, so that results were indefinite.

        Then low-rank bases are projected on twice, and there are no explicit inverses.
        """
        return self._spread() > 1

    @property
    def _wide(self) -> bool:
        """Whether even coefficients in eigenvectors are to be computed in float64."""
        single = self.dtype in (np.dtype(np.float32), np.dtype(np.complex64))
        return single and self._spread() * float(np.finfo(self.dtype).eps) > 1

    @cached_property
    def _inverses(self) -> tuple[Array | None, Array | None]:
        """``(A + a I)^-1`` and the conjugate of ``(B + b I)^-1`` where one product with them does."""
        if self.halves != -2 or self._weights.damping or self._delicate:
            return None, None
        P, Q = self._P, self._Q
        return (
            _inverse(P, self._weights.s, self._weights.scale) if P is not None and self.left.full else None,
            _inverse(Q, self._weights.t, 1.0) if Q is not None and self.right.full else None,
        )

    @property
    def path(self) -> str:
        """How each side is multiplied, "left+right".

        "diagonal", "eigenbasis" (two dense products), "inverse" (one), "low_rank", or "projected": low rank
        with explicit projections, where the condition number exceeds what rounding leaves definite. Followed
        by " in float64" where a float32 operator computes in it for the same reason.
        """
        kinds = []
        for side, inverse in zip((self.left, self.right), self._inverses, strict=True):
            low = "projected" if self._delicate else "low_rank"
            full = "eigenbasis" if inverse is None else "inverse"
            kinds.append("diagonal" if side.basis is None else low if side.rest is not None else full)
        return "+".join(kinds) + (" in float64" if self._wide else "")

    def _on_batch(self, V: Array) -> Array:
        """The operator on matrices V (k, n_A, n_B).

        Raises
        ------
        BreakdownError
            Its largest eigenvalue is beyond the range that is computed in.
        """
        if np.iscomplexobj(V) and self.dtype.kind != "c":
            return np.asarray(self._on_batch(V.real) + 1j * self._on_batch(V.imag))
        result = np.result_type(self.dtype, V.dtype)
        dtype = np.result_type(result, np.float64) if self._wide else result
        V = V.astype(dtype, copy=False)
        P, Q, first, second = (
            None if X is None else X.astype(dtype, copy=False) for X in (self._P, self._Q, *self._inverses)
        )
        weights = self._weights
        if not (largest := self._largest_weight) <= float(np.finfo(dtype).max):
            raise BreakdownError(
                f"A: its largest eigenvalue, {largest:.3g}, is beyond the range of {np.dtype(dtype)}"
            )
        k, m, n = V.shape
        if first is not None:
            turned = np.empty((k, m, n), dtype)
            for i in range(k):
                dense.gemm(first, V[i], turned[i])
            V, P, weights = turned, None, weights.without_left(m)
        if second is not None:
            V = dense.gemm(np.ascontiguousarray(V).reshape(k * m, n), second).reshape(k, m, n)
            Q, weights = None, weights.without_right(n)
        if first is None or second is None:
            V = kron.kron_function(P, Q, weights, V, project_twice=self._delicate)
        if self._rest_exponent:
            V = qr.scale_by_power(V, self._rest_exponent)
        return V.astype(result, copy=False)

    def apply_matrix(self, V: Any) -> Any:
        """The operator on matrices instead of vectors.

        Parameters
        ----------
        V : array of shape (..., n_A, n_B)

        Returns
        -------
        array of the shape and the kind of V
            Its last two axes, raveled, are the product with those of V: ``A V B^T`` for an undamped one.

        Raises
        ------
        InputError
            The last two axes do not fit.
        """
        stack, shape = stacked(V, (self.left.order, self.right.order))
        return namespace.restore(namespace.kind_of(V), self._on_batch(stack).reshape(shape))

    def _matmat(self, X: Array) -> Array:
        k = X.shape[1]
        stack = np.ascontiguousarray(X.T).reshape(k, self.left.order, self.right.order)
        return self._on_batch(stack).reshape(k, X.shape[0]).T

    def _rmatmat(self, Y: Array) -> Array:
        return self._matmat(Y)

    # -- closed forms ----------------------------------------------------------------------------------

    @property
    def T(self) -> LinearOperator:
        """The operator itself where it is real."""
        return self if self.dtype.kind != "c" else super().T

    @property
    def H(self) -> LinearOperator:
        """The operator itself."""
        return self

    def _scaled(self, x: Any) -> Any:
        return np.ldexp(x, self._rest_exponent)

    def _counts(self) -> Values:
        return np.multiply.outer(self.left.multiplicity, self.right.multiplicity)

    def diag(self) -> Array:
        """The diagonal, from the squares of the eigenvectors."""
        table = self._weights.table()
        left, right = self.left.squares(), self.right.squares()
        if left is not None:
            table = dense.gemm(left, table)
        if right is not None:
            table = dense.gemm(table, np.ascontiguousarray(right.T))
        return np.asarray(self._scaled(table).ravel().astype(self.dtype))

    def trace(self) -> float:
        """The sum of the eigenvalues."""
        return float(self._scaled(np.vdot(self._weights.table(), self._counts())))

    def slogdet(self) -> tuple[float, float]:
        """From the eigenvalues."""
        least, _ = self._extremes()
        if least <= 0:
            return 0.0, -math.inf
        unit = (self.left.exponent + self.right.exponent) * math.log(2.0)
        x = np.multiply.outer(self._weights.s, self._weights.t) + self._weights.damping
        total = float(np.vdot(np.log(x), self._counts())) + self.shape[0] * unit
        return 1.0, total * self.halves / 2

    def frobenius_norm(self) -> float:
        """From the eigenvalues."""
        return float(self._scaled(math.sqrt(np.vdot(np.square(self._weights.table()), self._counts()))))

    def _power(self, halves: int) -> KroneckerFunction:
        if halves < 0:
            least, _ = self._extremes()
            if least <= 0:
                raise BreakdownError("A: singular, its least eigenvalue is 0; expected some damping")
            with np.errstate(over="ignore"):
                unit = np.ldexp(least, self.left.exponent + self.right.exponent)
                largest = (1 / unit) ** (-halves / 2)
            if not largest <= np.finfo(self.dtype).max:
                raise BreakdownError(
                    f"A: the inverse of its least eigenvalue {unit:.3g} is beyond the range of {self.dtype}"
                )
        return KroneckerFunction(self.left, self.right, self.shifts, halves, self.dtype)

    def inverse(self) -> KroneckerFunction:
        """The inverse in the same eigenvectors, positive definite whatever the damping."""
        return self._power(-self.halves)

    def sqrt(self) -> KroneckerFunction:
        """The root in the same eigenvectors."""
        if abs(self.halves) == 1:
            raise self._none("square root")
        return self._power(self.halves // 2)

    def inverse_sqrt(self) -> KroneckerFunction:
        """The inverse root in the same eigenvectors."""
        if abs(self.halves) == 1:
            raise self._none("inverse square root")
        return self._power(-self.halves // 2)


def stacked(V: Any, shape: tuple[int, int]) -> tuple[Array, tuple[int, ...]]:
    """V of shape (..., m, n) as a batch (k, m, n), and its shape.

    Raises
    ------
    InputError
        The last two axes do not fit.
    """
    given = validate.as_array(V, name="V", ndim=tuple(range(2, 33)))
    if given.shape[-2:] != shape:
        raise InputError(f"V: expected shape (..., {shape[0]}, {shape[1]}), got {given.shape}")
    return given.reshape(math.prod(given.shape[:-2]), *shape), given.shape


def _inverse(basis: Array, values: Values, scale: float) -> Array:
    """``scale B diag(1 / values) B^H`` with scale a power of two; Hermitian to the bit where the BLAS is."""
    root = np.ascontiguousarray(basis * (1 / np.sqrt(values)).astype(basis.real.dtype))
    return np.asarray(dense.gemm(root, root.conj().T) * basis.real.dtype.type(scale))
