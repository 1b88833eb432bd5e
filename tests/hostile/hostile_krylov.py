# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Iterations, preconditioners and kernel ridge under attack, each held to the theorem it stops by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hostile_functions import magnitude
from hostile_systems import check_shifted, right_hand_side
from hostile_targets import RANK, Array, Target, parameters, rescale

from randnla import solvers

# -- conjugate gradients and least squares ---------------------------------------------------------------


def conjugate(A: Any, **keywords: Any) -> Any:
    return solvers.cg(A, right_hand_side(A), **{"shift": magnitude(A), **keywords})


def damped(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(A: Any, **keywords: Any) -> Any:
        return function(A, right_hand_side(A), **{"damp": magnitude(A), **keywords})

    return call


def check_damped(result: Any, truth: Array, eps: float) -> str | None:
    """The rule that ends the iteration, of H, A above damp I: |H^H r| <= 2 tol |H| |r| for r = (b, 0) - H x.

    The least singular value of H is at least damp, so that |H (x - exact)| <= 2 tol |H| |b| / damp.
    """
    x, (m, n) = result.x, truth.shape
    if x.shape != (n,):
        return f"shape {x.shape}"
    if not np.all(np.isfinite(x)):
        return "not finite"
    unit = int(np.log2(magnitude(truth)))
    A, b = rescale(truth, unit), np.cos(np.arange(m)) + 2  # damp is then one
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    e = rescale(x, -unit) - Vh.conj().T @ ((s / (s**2 + 1)) * (U.conj().T @ b))
    error = float(np.hypot(np.linalg.norm(A @ e), np.linalg.norm(e)))
    tiny = float(rescale(2.0**-1074 if eps < 1e-10 else 2.0**-149, -unit)) * 4 * n
    tol = 1e-4 if eps > 1e-10 else 1e-8
    size = float(np.hypot(np.linalg.norm(A), np.sqrt(n)))
    bound = 2 * tol * size * float(np.linalg.norm(b)) + tiny
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


# -- preconditioners ---------------------------------------------------------------------------------------


def entries(A: Any, M: Any) -> Array:
    return np.asarray(M @ np.eye(M.shape[0], dtype=M.dtype))


def preconditioner(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(A: Any, **keywords: Any) -> Array:
        shape = getattr(A, "shape", ())
        least = {"rank": min(RANK, *shape) if len(shape) == 2 else RANK, "shift": magnitude(A), "rng": 0}
        return entries(A, function(A, **{**least, **keywords}))

    return call


def check_preconditioner(bound_of: Callable[[Array], float]) -> Callable[..., str | None]:
    """`bound_of` a matrix whose shift is one: of the condition of the preconditioned matrix."""

    def check(result: Any, truth: Array, eps: float) -> str | None:
        if result.shape != truth.shape:
            return f"shape {result.shape}"
        if not truth.size or not np.isfinite(truth).all():
            return None  # none of the entries that were read
        A, M = rescale(truth, int(np.log2(magnitude(truth)))), rescale(result, 0)
        if float(np.linalg.norm(M - M.conj().T)) > 200 * eps * float(np.linalg.norm(M)):
            return "not Hermitian"
        root = np.linalg.cholesky((A + A.conj().T) / 2 + np.eye(len(A)))
        w = np.linalg.eigvalsh(root.conj().T @ M @ root)
        if w[0] <= 0:
            return f"not definite: {w[0]:.3e}"
        found, bound = float(w[-1] / w[0]), bound_of(A) * (1 + 200 * eps * len(A))
        return None if found <= bound else f"condition {found:.6f} > {bound:.6f}"

    return check


def nystrom_bound(A: Array) -> float:
    """Proposition 5.3 of Frangella, Tropp and Udell: 1 + (w_l + |E|) / shift, either at most |A|."""
    return 1 + 2 * float(np.linalg.norm(A, 2))


def rpcholesky_bound(A: Array) -> float:
    """1 + t / shift, t the trace that is left."""
    return 1 + float(np.trace(A).real)


# -- kernel ridge --------------------------------------------------------------------------------------------


def fitted(points: Any, **keywords: Any) -> Any:
    return solvers.kernel_ridge(
        points,
        right_hand_side(points),
        **{"bandwidth": magnitude(points), "alpha": 1.0, "rng": 0, **keywords},
    )


def check_fit(result: Any, truth: Array, eps: float) -> str | None:
    """The residual of conjugate gradients against the kernel matrix made in float64."""
    X = rescale(truth, int(np.log2(magnitude(truth))))
    K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=2))
    c, y = np.asarray(result.coefficients, np.float64), np.cos(np.arange(len(X))) + 2
    if c.shape != (len(X),):
        return f"shape {c.shape}"
    left = float(np.linalg.norm(K @ c + c - y))
    bound = (1e-3 if eps > 1e-10 else 1e-7) * float(np.linalg.norm(y))
    return None if left <= bound else f"residual {left:.3e} > {bound:.3e}"


def _targets() -> list[Target]:
    # Recurrences carry other last bits along; either answer is within tol.
    least: dict[str, Any] = {"whole": True, "layout_tolerance": 1e-8, "mapped_tolerance": 1e-8}
    return [
        Target(
            "cg",
            conjugate,
            check_shifted(1.0),
            "semidefinite",
            whole=True,
            parameters=parameters(solvers.cg) - {"b", "shift", "preconditioner"},
        ),
        *(
            Target(name, damped(function), check_damped, parameters=parameters(function) - {"b"}, **least)
            for name, function in (("lsqr", solvers.lsqr), ("lsmr", solvers.lsmr))
        ),
        Target(
            "nystrom_preconditioner",
            preconditioner(solvers.nystrom_preconditioner),
            check_preconditioner(nystrom_bound),
            "semidefinite",
            parameters=parameters(solvers.nystrom_preconditioner),
        ),
        Target(
            "rpcholesky_preconditioner",
            preconditioner(solvers.rpcholesky_preconditioner),
            check_preconditioner(rpcholesky_bound),
            "semidefinite",
            sees_all=False,
            parameters=parameters(solvers.rpcholesky_preconditioner),
        ),
        Target(
            "kernel_ridge",
            fitted,
            check_fit,
            argument="points",
            real=True,
            dense_only=True,
            whole=True,
            parameters=parameters(solvers.kernel_ridge) - {"y", "alpha", "preconditioner", "rank"},
        ),
    ]


TARGETS = {target.name: target for target in _targets()}
