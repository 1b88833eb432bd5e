# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A damped Kronecker product of two positive semidefinite factors, factored once for every damping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla.operators.kronecker_function import KroneckerFunction, Shifts
from randnla.operators.spectrum import Spectrum, spectrum_of

FORMS = ("tikhonov", "exact", "relative")


@dataclass(frozen=True)
class EffectiveDamping:
    """What a damping amounts to: ``(A + left I) kron (B + right I) + whole I``.

    Attributes
    ----------
    form : str
        "tikhonov", "exact" or "relative".
    given : float
        The damping asked for; it is never changed.
    left, right, whole : float
        What is added to A, to B and to their product.
    clipped : tuple of int
        How many eigenvalues of A and of B rounding had left negative: they count as zero.
    least : tuple of float
        The most negative of them, 0 where there was none.
    """

    form: str
    given: float
    left: float
    right: float
    whole: float
    clipped: tuple[int, int]
    least: tuple[float, float]


class DampedKronecker(KroneckerFunction):
    """``A kron B`` with damping, A and B Hermitian positive semidefinite: the algebra of Kronecker curvature.

    Parameters
    ----------
    left, right : arrays or operators, square, of orders n_A and n_B
        A and B: an array, `Diagonal`, `LowRank` or `DiagonalPlusLowRank` with a constant diagonal, which is
        how a truncated factor U diag(w) U^H says what the discarded eigenvalues are to count as:
        ``DiagonalPlusLowRank(tau, U, w - tau)``. They are read once and not kept.
    damping : float
        lambda >= 0.
    form : {"tikhonov", "exact", "relative"}, default "tikhonov"
        What lambda is added to, which is not the same thing:

        - "tikhonov": ``(A + pi g I) kron (B + g / pi I)``, g = sqrt(lambda), pi^2 the mean eigenvalue of A
          over that of B, 1 where one of them is zero (Martens and Grosse, 2015, section 6.3).
        - "exact": ``A kron B + lambda I``.
        - "relative": ``(A + lambda ||A||_2 I) kron (B + lambda ||B||_2 I)``.

    Raises
    ------
    InputError
        A factor is not square, not Hermitian or known by its products only; damping is negative, or takes the
        product beyond the range of the dtype.
    NonFiniteError
        A factor holds NaN or Inf.
    BreakdownError
        A factor has a negative eigenvalue that rounding does not explain.

    Notes
    -----
    *Algorithm*: the eigenvectors of A and B, once. With A = P diag(s) P^H and B = Q diag(t) Q^H the exact
    form maps V to ``P [(s t^T + lambda) o (P^H V conj(Q))] Q^T``, and every power of it likewise.
    Eigenvalues that rounding left negative count as zero before lambda is added, so that the inverse is
    positive definite for every lambda > 0. Where a factor has low rank plus tau I the complement of its
    eigenvectors is never formed: with low rank on both sides a solve splits V into range and complement on
    both sides, in the exact form too. Inverses of the other two forms are products with explicit inverses of
    dense factors where their condition allows; `inverse().path` says which way is taken.

    A float32 solve has an error of c eps (lambda + ||A|| ||B||) / lambda, relative in norm; factors of half
    precision are to be accumulated in float32 or wider.

    *Cost*: an eigendecomposition of each dense factor. A product or solve of V (n_A, n_B) takes
    4 n_A n_B (n_A + n_B) flops, half of that by explicit inverses, and 4 n_A n_B (r_A + r_B) with low rank on
    both sides.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import DampedKronecker
    >>> A, B = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 0.0, 4.0])
    >>> K = DampedKronecker(A, B, 0.1, form="exact")
    >>> V = np.arange(6.0).reshape(2, 3)
    >>> W = K.solve_matrix(V)
    >>> bool(np.allclose(A @ W @ B + 0.1 * W, V)), bool(np.allclose(K.solve(V.ravel()), W.ravel()))
    (True, True)
    >>> K.with_damping(0.5).effective_damping.whole
    0.5
    """

    def __init__(self, left: Any, right: Any, damping: float, *, form: str = "tikhonov") -> None:
        from randnla.operators.convert import as_operator

        form = validate.choice(form, FORMS, name="form")
        damping = validate.real(damping, name="damping", low=0.0)
        A, B = as_operator(left, name="left"), as_operator(right, name="right")
        dtype = np.result_type(A.dtype, B.dtype)
        self._set(spectrum_of(A, "left", dtype), spectrum_of(B, "right", dtype), dtype, damping, form)

    def _set(self, left: Spectrum, right: Spectrum, dtype: Any, damping: float, form: str) -> None:
        self.damping, self.form = damping, form
        KroneckerFunction.__init__(self, left, right, _shifts(left, right, damping, form), 2, dtype)
        exponent, limit = left.exponent + right.exponent, float(np.finfo(self.dtype).max)
        with np.errstate(over="ignore"):
            bare = float(np.ldexp(left.largest * right.largest, exponent))
            damped = float(np.ldexp(self._extremes()[1], exponent))
        if bare <= limit and not damped <= limit:
            raise InputError(
                f"damping: {damping:.6g} takes the largest eigenvalue to {damped:.3g}, beyond the range of "
                f"{self.dtype}"
            )

    def with_damping(self, damping: float) -> DampedKronecker:
        """The same product with another damping; nothing is factored again.

        Raises
        ------
        InputError
            damping is negative or takes the product beyond the range of the dtype.
        """
        made = object.__new__(DampedKronecker)
        damping = validate.real(damping, name="damping", low=0.0)
        made._set(self.left, self.right, self.dtype, damping, self.form)
        return made

    @property
    def effective_damping(self) -> EffectiveDamping:
        """What is added to each factor and to the product, and what was clipped."""
        a, b, c = self.shifts.left, self.shifts.right, self.shifts.whole
        with np.errstate(over="ignore"):
            return EffectiveDamping(
                self.form,
                self.damping,
                float(np.ldexp(a, self.left.exponent)),
                float(np.ldexp(b, self.right.exponent)),
                float(np.ldexp(c, self.left.exponent + self.right.exponent)),
                (self.left.clipped, self.right.clipped),
                (self.left.least, self.right.least),
            )

    @cached_property
    def _solver(self) -> KroneckerFunction:
        return self.inverse()

    def solve(self, B: Any) -> Any:
        """``K^-1 B`` for B of shape (n_A n_B,) or (..., n_A n_B, k), an array of the kind of B.

        What it needs is kept for the next solve. NaN and Inf in B are not looked for.

        Raises
        ------
        InputError
            B has another number of rows.
        BreakdownError
            The product is singular, which takes a damping of zero.
        """
        return namespace.restore(namespace.kind_of(B), self._solver.matmat(B))

    def solve_matrix(self, V: Any) -> Any:
        """``solve`` for matrices: W of shape (..., n_A, n_B) with ``K W.ravel() = V.ravel()``.

        For the forms but "exact" this is ``(A + a I)^-1 V (B + b I)^-T``.

        Raises
        ------
        InputError
            The last two axes of V do not fit.
        BreakdownError
            The product is singular, which takes a damping of zero.
        """
        return self._solver.apply_matrix(V)


def _shifts(left: Spectrum, right: Spectrum, damping: float, form: str) -> Shifts:
    # All in units of the factors: powers of two in either change no bit of what follows.
    with np.errstate(over="ignore"):
        unit = float(np.ldexp(damping, -(left.exponent + right.exponent)))
    if form == "relative":
        return Shifts(damping * left.largest, damping * right.largest, 0.0)
    if not math.isfinite(unit) or (damping > 0 and unit == 0):
        raise InputError(f"damping: {damping} and the factors differ by more than float64 can hold")
    if form == "exact":
        return Shifts(0.0, 0.0, unit)
    a, b = left.mean, right.mean
    if a == 0 or b == 0:
        root = math.sqrt(damping)
        return Shifts(float(np.ldexp(root, -left.exponent)), float(np.ldexp(root, -right.exponent)), 0.0)
    return Shifts(math.sqrt(unit * (a / b)), math.sqrt(unit * (b / a)), 0.0)
