# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The two problems that one tall matrix B poses, each as an iterate that corrections in P's coordinates move.

With N = P^H (B^H B + damp^2) P, nearly the identity, both ask for N w = c over and over:

* overdetermined, ``min ||b - B x||^2 + damp^2 ||x||^2``: c = P^H (B^H (b - B x) - damp^2 x), x += P w;
* underdetermined, ``B^H x + damp s = b`` of least ``||x||^2 + ||s||^2``: c = P^H (b - B^H x - damp s),
  z += P w, x += B P w, s += damp P w, so that x = B z and s = damp z to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from randnla._backend.kernels import dense

from .preconditioner import Preconditioner, Spectrum
from .tall import Array, Tall, column_norms


class Formulation(ABC):
    """An iterate x (n, k) with what is known of it.

    Attributes
    ----------
    B, P : the tall matrix and its preconditioner
    b : (m, k) array
    x : array
    c : (r, k) array
        Right-hand side of the next correction, after `measure`.
    spectrum : Spectrum
        Of [B; damp I].
    residual_norms : (k,) array
        Of b - A x, after `measure`.
    """

    _iterate: ClassVar[tuple[str, ...]] = ("x", "residual_norms")

    B: Tall
    P: Preconditioner
    x: Array
    c: Array
    residual_norms: Array

    def __init__(self, B: Tall, P: Preconditioner, b: Array) -> None:
        self.B, self.P, self.b = B, P, b
        self._spectrum: Spectrum | None = None
        # (1 + distortion)^2 S^H S >= B^H B: what the sketch may make too small.
        self.slack = 1 + P.distortion

    @property
    def spectrum(self) -> Spectrum:
        """From the sketch until `refine_factor` knew better."""
        if self._spectrum is None:
            self._spectrum = Spectrum.of(self.P.factor)
        return self._spectrum

    def refine_factor(self, K: Array) -> None:
        """K^H K = N for an upper triangular K: B is K times the sketch's factor, up to a rotation."""
        self._spectrum, self.slack = Spectrum.of(dense.gemm(K, self.P.factor)), 1.0

    @abstractmethod
    def measure(self, *, gram: str | None = None) -> Array | None:
        """Read A for the residual's norms, c, and the Gram matrix N if wanted.

        `gram`: "plain" takes it from B^H B, "preconditioned" from B P.
        """

    @abstractmethod
    def backward_error(self) -> float:
        """Of the measured iterate, relative to ||[B; damp I]||_F: the largest over the columns."""

    @abstractmethod
    def correct(self, w: Array) -> None:
        """Move by P w."""

    @abstractmethod
    def floor(self) -> Array:
        """What rounding makes of c, over u: corrections below it are noise."""

    def iterate(self) -> tuple[Array, ...]:
        """What `restore` takes."""
        return tuple(getattr(self, name) for name in self._iterate)

    def restore(self, iterate: tuple[Array, ...]) -> None:
        """Go back to a measured iterate."""
        for name, value in zip(self._iterate, iterate, strict=True):
            setattr(self, name, value)

    def normal(self, w: Array) -> Array:
        """N w, in one sweep."""
        Pw = self.P.to_x(w)
        g = self.B.sweep(None, Pw)[0]
        return -self.P.from_gradient(g)


class Overdetermined(Formulation):
    """Tall A, which is B."""

    def __init__(self, B: Tall, P: Preconditioner, b: Array) -> None:
        super().__init__(B, P, b)
        self.x = P.to_x(P.start)

    def measure(self, *, gram: str | None = None) -> Array | None:
        """In one sweep."""
        P = self.P if gram == "preconditioned" else None
        self.g, squares, G = self.B.sweep(
            self.b,
            self.x,
            gram=gram is not None,
            P=None if P is None else P.P,
            upper=P is not None and P.upper,
        )
        self.x_norms = column_norms(self.x)
        self.residual_norms = np.sqrt(squares)
        self.c = self.P.from_gradient(self.g)
        if gram == "plain":
            assert G is not None
            G = self.P.from_gradient(dense.gemm(G, self.P.P))
        return G

    def backward_error(self) -> float:
        """By the gradient."""
        lengths = np.hypot(self.residual_norms, self.B.damp * self.x_norms)
        errors = self.spectrum.overdetermined(self.g, self.x_norms, lengths)
        return self.slack * float(errors.max(initial=0.0)) / (self.spectrum.frobenius_norm or 1.0)

    def correct(self, w: Array) -> None:
        """x += P w."""
        self.x = self.x + self.P.to_x(w)

    def floor(self) -> Array:
        """Rounding of the residual."""
        return self.spectrum.frobenius_norm * self.x_norms + self.residual_norms

    def forward(self, w: Array) -> Array:
        """[B; damp I] P w."""
        Pw = self.P.to_x(w)
        Y = self.B.forward(Pw)
        return np.concatenate([Y, self.B.damp * Pw]) if self.B.damp else Y

    def adjoint(self, y: Array) -> Array:
        """The adjoint of `forward`."""
        m = self.B.shape[0]
        g = self.B.adjoint(y[:m])
        return self.P.from_gradient(g + self.B.damp * y[m:] if self.B.damp else g)

    def remainder(self) -> Array:
        """The right-hand side that is left to a `forward`."""
        r = self.b - self.B.forward(self.x)
        return np.concatenate([r, -self.B.damp * self.x]) if self.B.damp else r


class Underdetermined(Formulation):
    """Wide A, which is B^H."""

    _iterate = ("x", "residual_norms", "z", "s")

    def __init__(self, B: Tall, P: Preconditioner, b: Array) -> None:
        super().__init__(B, P, b)
        m, n = B.shape
        self.z = np.zeros((n, b.shape[1]), P.P.dtype if b.dtype.kind != "c" else np.complex128)
        self.x = np.zeros((m, b.shape[1]), self.z.dtype)
        self.s = np.zeros_like(self.z)
        self.correct(P.from_gradient(b))

    def measure(self, *, gram: str | None = None) -> Array | None:
        """As for tall A; B is read twice if a Gram matrix is wanted."""
        self.r = self.b - self.B.adjoint(self.x) - self.B.damp * self.s
        self.residual_norms = column_norms(self.r)
        self.x_norms = np.hypot(column_norms(self.x), column_norms(self.s))
        self.c = self.P.from_gradient(self.r)
        if gram is None:
            return None
        P = self.P if gram == "preconditioned" else None
        none = np.zeros((self.B.shape[0], 0)), np.zeros((self.B.shape[1], 0))
        G = self.B.sweep(*none, gram=True, P=None if P is None else P.P, upper=P is not None and P.upper)[2]
        assert G is not None
        return G if P is not None else self.P.from_gradient(dense.gemm(G, self.P.P))

    def backward_error(self) -> float:
        """Of the measured iterate as a least-squares solution; `range_error` is that of its least norm."""
        errors = self.slack * self.spectrum.underdetermined(self.r, self.x_norms, self.residual_norms)
        return float(errors.max(initial=0.0)) / (self.spectrum.frobenius_norm or 1.0)

    def range_error(self) -> float:
        """||x - B z|| / ||z||, relative: rows must change by that for x to lie in their span."""
        off = np.hypot(
            column_norms(self.x - self.B.forward(self.z)), column_norms(self.s - self.B.damp * self.z)
        )
        lengths = column_norms(self.z)
        ratio = np.divide(off, lengths, out=np.zeros_like(off), where=lengths > 0)
        return float(ratio.max(initial=0.0)) / (self.spectrum.frobenius_norm or 1.0)

    def correct(self, w: Array) -> None:
        """Move z by P w, and x and s with it."""
        Pw = self.P.to_x(w)
        self.z = self.z + Pw
        self.x = self.x + self.B.forward(Pw)
        if self.B.damp:
            self.s = self.s + self.B.damp * Pw

    def floor(self) -> Array:
        """Rounding of the equations' right-hand sides, and of the residual that no x takes away."""
        return self.x_norms + self.P.condition / (self.spectrum.frobenius_norm or 1.0) * self.residual_norms
