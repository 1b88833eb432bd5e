# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The psd Riccati equation on the manifold of matrices of fixed rank, by Riemannian trust regions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import frobenius

from .known_root import EPS, KnownRoot

Array = npt.NDArray[Any]

MOST_OUTER = 100
MOST_INNER = 30
GRADIENT = 1e-10


class Energy:
    """``E(X) = tr(X P X) + tr(X^3) / 3 - tr(X W W^H)``, whose gradient is the residual of the equation.

    E is strictly convex on the cone X >= 0: the solution is its minimizer. X = Y Y^H with Y (n, p) of full
    rank, which Y Q describes as well for every unitary Q: steps are horizontal, Y^H step Hermitian.
    """

    def __init__(self, frame: KnownRoot, W: Array) -> None:
        self.frame, self.W = frame, W

    def at(self, Y: Array) -> Point:
        """The quantities of a point that value, gradient and Hessian share."""
        return Point(self, Y)


class Point:
    """E, its gradient and its Hessian at Y Y^H."""

    def __init__(self, energy: Energy, Y: Array) -> None:
        self.energy, self.Y = energy, Y
        self.PY = energy.frame.apply(Y)
        self.G = _hermitian(dense.gemm(Y.conj().T, Y))
        self.H = _hermitian(dense.gemm(Y.conj().T, self.PY))
        self.C = dense.gemm(energy.W.conj().T, Y)  # W^H Y
        g2 = dense.gemm(self.G, self.G)
        self.value = float(_inner(self.H, self.G) + _inner(self.G, g2) / 3 - frobenius(self.C) ** 2)
        # (P X + X P + X^2 - W W^H) Y
        self.RY = dense.gemm(self.PY, self.G) + dense.gemm(Y, self.H + g2) - dense.gemm(energy.W, self.C)
        self.gradient = 2 * self.RY
        g, self.E = qr.small_eigh(self.G)
        self.g = np.maximum(g, EPS * float(g.max(initial=0.0)))
        # |R U|_F for an orthonormal basis U of the range of Y: small columns of Y count as large ones do.
        self.slope = frobenius(dense.gemm(self.RY, self.E) / np.sqrt(self.g))

    def hessian(self, D: Array) -> Array:
        """The projected derivative of the gradient along the horizontal D."""
        Y, W = self.Y, self.energy.W
        PD = self.energy.frame.apply(D)
        YD = dense.gemm(Y.conj().T, D)
        inner = YD + YD.conj().T
        PYD = dense.gemm(self.PY.conj().T, D)
        # d(X) = D Y^H + Y D^H; R(X) D + (P dX + dX P + X dX + dX X) Y
        first = (
            dense.gemm(PD, self.G)
            + dense.gemm(self.PY, YD.conj().T)
            + dense.gemm(D, self.H)
            + dense.gemm(Y, PYD.conj().T)
            + dense.gemm(Y, dense.gemm(inner, self.G) + dense.gemm(self.G, YD.conj().T))
            + dense.gemm(D, dense.gemm(self.G, self.G))
        )
        residual = (
            dense.gemm(self.PY, YD)
            + dense.gemm(Y, PYD)
            + dense.gemm(Y, dense.gemm(self.G, YD))
            - dense.gemm(W, dense.gemm(W.conj().T, D))
        )
        return self.project(2 * (first + residual))

    def project(self, D: Array) -> Array:
        """The horizontal part D - Y Omega: Y^H (D - Y Omega) is Hermitian for an anti-Hermitian Omega."""
        skew = dense.gemm(self.Y.conj().T, D)
        skew = skew - skew.conj().T
        g, E = self.g, self.E
        inner = dense.gemm(dense.gemm(E.conj().T, skew), E) / np.add.outer(g, g)
        return D - dense.gemm(self.Y, dense.gemm(dense.gemm(E, inner), E.conj().T))

    def precondition(self, D: Array) -> Array:
        """The leading term 2 P D G of the Hessian, inverted."""
        g, E = self.g, self.E
        solved = self.energy.frame.solve(dense.gemm(D, E)) / (2 * g)
        return self.project(dense.gemm(solved, E.conj().T))


def _hermitian(A: Array) -> Array:
    return (A + A.conj().T) / 2


def _inner(A: Array, B: Array) -> float:
    # NumPy's vdot would start threads of its BLAS.
    pairs = ((A.real, B.real), (A.imag, B.imag)) if np.iscomplexobj(A) else ((A, B),)
    return float(sum(np.einsum("ij,ij->", a, b) for a, b in pairs))


def trust_region(energy: Energy, Y: Array) -> tuple[Array, int]:
    """A stationary point of E near Y Y^H, by trust regions with truncated CG (Absil et al., 2007); steps."""
    point, steps = energy.at(Y), 0
    goal = GRADIENT * frobenius(energy.W) ** 2
    radius: float | None = None
    while steps < MOST_OUTER and point.slope > goal:
        step, predicted, length, boundary = _truncated_cg(point, radius)
        radius = 4 * length if radius is None else radius
        candidate = energy.at(point.Y + step)
        gain = point.value - candidate.value
        steps += 1
        # Below the rounding of E the ratio is noise: there the slope decides.
        slack = 1e3 * EPS * max(abs(point.value), abs(candidate.value))
        if predicted <= slack:
            if candidate.slope >= 0.9 * point.slope:
                break
            point = candidate
            continue
        ratio = gain / predicted
        if ratio < 0.25:
            radius = length / 4
        elif ratio > 0.75 and boundary:
            radius *= 2
        if ratio > 0.1:
            point = candidate
    return point.Y, steps


def _truncated_cg(point: Point, radius: float | None) -> tuple[Array, float, float, bool]:
    """A minimizer of the quadratic model in the radius, its gain and length, and whether it is at the end.

    Lengths are in the norm of the preconditioner (Conn, Gould and Toint, 2000, section 7.5.1).
    """
    r = point.gradient
    z = point.precondition(r)
    eta, H_eta = np.zeros_like(r), np.zeros_like(r)
    d, rz = -z, _inner(r, z)
    first = rz
    ee, ed, dd = 0.0, 0.0, rz
    for _ in range(MOST_INNER):
        Hd = point.hessian(d)
        curvature = _inner(d, Hd)
        alpha = rz / curvature if curvature > 0 else math.inf
        longer = ee + 2 * alpha * ed + alpha**2 * dd if math.isfinite(alpha) else math.inf
        if curvature <= 0 or (radius is not None and longer >= radius**2):
            end = radius**2 if radius is not None else 4 * first
            tau = (-ed + math.sqrt(max(ed**2 + dd * (end - ee), 0.0))) / dd if dd > 0 else 0.0
            eta, H_eta = eta + tau * d, H_eta + tau * Hd
            return eta, _gain(point, eta, H_eta), math.sqrt(end), True
        eta, H_eta, r, ee = eta + alpha * d, H_eta + alpha * Hd, r + alpha * Hd, longer
        z = point.precondition(r)
        new = _inner(r, z)
        if new <= 1e-4 * first:
            break
        beta = new / rz
        d, rz = -z + beta * d, new
        ed, dd = beta * (ed + alpha * dd), new + beta**2 * dd
    return eta, _gain(point, eta, H_eta), math.sqrt(max(ee, 0.0)), False


def _gain(point: Point, eta: Array, H_eta: Array) -> float:
    return -_inner(point.gradient, eta) - _inner(eta, H_eta) / 2


def descent(frame: KnownRoot, Y: Array, W: Array, count: int) -> Array:
    """Columns that lower E most: eigenvectors of the most negative eigenvalues of the residual."""
    PY = frame.apply(Y)
    p = Y.shape[1]
    Q, R, _ = qr.cholesky_qr(np.concatenate([Y, PY, W], axis=1))
    A, B, C = (np.ascontiguousarray(part) for part in (R[:, :p], R[:, p : 2 * p], R[:, 2 * p :]))
    first, square = dense.gemm(B, A.conj().T), dense.gemm(A, A.conj().T)
    small = first + first.conj().T + dense.gemm(square, square) - dense.gemm(C, C.conj().T)
    w, E = qr.small_eigh(_hermitian(small))
    wanted = int(np.count_nonzero(w[:count] < 0))
    V = dense.gemm(Q, np.ascontiguousarray(E[:, :wanted]))
    # Along X + t v v^H: rho + 2 t (v^H P v + v^H X v) + t^2 = 0.
    slope = np.einsum("ij,ij->j", V.conj(), frame.apply(V)).real
    slope = slope + (np.abs(dense.gemm(Y.conj().T, V)) ** 2).sum(axis=0)
    t = -w[:wanted] / (slope + np.sqrt(slope**2 - w[:wanted]))
    return np.asarray(V * np.sqrt(t))
