# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots under low-rank change, and whole roots; errors are relative to the change, or backward."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import peers_functions
from conditions import find
from numpy.typing import NDArray

from .base import Case, Contender, Work

Array = NDArray[Any]


@lru_cache(maxsize=1)
def _problem(n: int, r: int, kappa: float) -> tuple[Array, Array, Array]:
    """Eigenvalues of a diagonal A, Z, and the change of the root by all eigenvectors."""
    rng = np.random.default_rng(0)
    d, Z = np.geomspace(1, kappa, n), rng.standard_normal((n, r))
    w, V = np.linalg.eigh(np.diag(d) + Z @ Z.T)
    return d, Z, (V * np.sqrt(w)) @ V.T - np.diag(np.sqrt(d))


def _update(n: int, r: int, kappa: float, kind: str) -> Case:
    update = find("randnla", "sqrt_update")
    d, Z, change = _problem(n, r, kappa)
    A = np.diag(d) + Z @ Z.T
    Diagonal = find("randnla", "Diagonal")
    root = Diagonal(np.sqrt(d)) if kind == "diagonal" else np.diag(np.sqrt(d))

    def contenders() -> dict[str, Contender]:
        return {
            "scipy sqrtm": lambda: peers_functions.scipy_sqrtm(A),
            "numpy eigh": lambda: peers_functions.eigh_root(A),
            "Lanczos update, 40 blocks": lambda: peers_functions.lanczos_root_update(d, Z, 40),
        }

    def error(who: str, result: Any) -> float:
        if isinstance(result, tuple):
            V, core = result
            found = V @ core @ V.T
        else:
            whole = result.to_dense() if hasattr(result, "to_dense") else result
            found = whole - np.diag(np.sqrt(d))
        return float(np.linalg.norm(found - change) / np.linalg.norm(change))

    return Case(lambda: update(root, Z), contenders, error)


def _inverse_root(n: int, p: int, dtype: str, method: str) -> Case:
    inverse_root = find("randnla.matrix_functions", "inverse_root")
    X = np.random.default_rng(0).standard_normal((n // 2, n))
    A, damping = (X.T @ X / n).astype(dtype), 1e-2

    def contenders() -> dict[str, Contender]:
        return {
            "numpy eigh": lambda: peers_functions.eigh_inverse_root(A, p, damping),
            "torch eigh": lambda: peers_functions.torch_eigh_inverse_root(A, p, damping),
        }

    def error(who: str, result: Any) -> float:
        """Relative residual of X^p (A + damping I) = I."""
        root = (result.X if hasattr(result, "X") else result).astype(np.float64)
        target = A.astype(np.float64) + damping * np.eye(n)
        return float(np.linalg.norm(np.linalg.matrix_power(root, p) @ target - np.eye(n)) / np.sqrt(n))

    return Case(lambda: inverse_root(A, p, damping=damping, method=method), contenders, error)


WORKS = [
    Work(
        f"sqrt_update {kind}",
        "float64",
        f"{n} r={r} cond {kappa:g}",
        lambda _, n=n, r=r, kappa=kappa, kind=kind: _update(n, r, kappa, kind),  # type: ignore[misc]
        error_limit=1e-6,
        quick=kind == "diagonal",
        rounds=5,
    )
    for n, r, kappa, kind in ((1500, 3, 1e4, "diagonal"), (1500, 3, 1e4, "dense"))
] + [
    Work(
        f"inverse_root p=4 {method}",
        dtype,
        "512, damping 1e-2",
        lambda _, dtype=dtype, method=method: _inverse_root(512, 4, dtype, method),  # type: ignore[misc]
        quick=False,
        rounds=7,
        note="ours works in float64, theirs in the precision of the input" if dtype == "float32" else "",
    )
    for dtype in ("float64", "float32")
    for method in ("eigen", "newton")
]
