# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC beside products of torch with the same window, and beside its recursion written plainly there."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla.curvature import MFAC
from randnla.curvature.windows.static_window import StaticWindow, orthogonalize

from .base import Bar, Case, Contender, Work

DIM, WINDOW, DAMPING = 1_000_000, 512, 1e-5
BUILD_DIM = 100_000
QUERIES = 1000


def _gradients(dim: int, count: int) -> np.ndarray:
    """Rows of unit length, more or less."""
    rng = np.random.default_rng(0)
    G = np.empty((count, dim), np.float32)
    for row in G:
        rng.standard_normal(dim, dtype=np.float32, out=row)
    G *= np.float32(dim**-0.5)
    return G


def _product(storage: str | None) -> Case:
    import torch

    G = _gradients(DIM, WINDOW)
    window = MFAC(DIM, WINDOW, DAMPING, storage=storage)
    for g in G:
        window.add(g)
    x = np.random.default_rng(1).standard_normal(DIM, dtype=np.float32)
    rows, side = torch.from_numpy(G), torch.from_numpy(x)
    window.inverse_hvp(x)

    def peers() -> dict[str, Contender]:
        return {"torch G.T @ (G @ x)": lambda: rows.T @ (rows @ side)}

    return Case(lambda: window.inverse_hvp(x), peers)


def torch_recursion(G: Any, damping: float) -> tuple[Any, Any]:
    """The static algorithm of M-FAC, gradient by gradient, in place."""
    import torch

    m = len(G)
    q = torch.empty(m)
    for i in range(m):
        g = G[i].clone()
        v = g / damping
        if i:
            v -= ((G[:i] @ g) / q[:i]) @ G[:i]
        G[i], q[i] = v, m + torch.dot(g, v)
    return G, q


def _build(alike: bool) -> Case:
    """With the copy that the next round needs, of all who overwrite gradients."""
    import torch

    G = _gradients(BUILD_DIM, WINDOW)
    if alike:  # their cosines are .99
        G *= np.float32(0.1)
        G += _gradients(BUILD_DIM, WINDOW + 1)[-1]
    columns = np.ascontiguousarray(G.T)
    A, L, q = np.empty_like(columns), np.eye(WINDOW), np.empty(WINDOW)
    x = np.random.default_rng(1).standard_normal(BUILD_DIM)
    exact = x / DAMPING - G.T @ _dual_weights(G, x)

    def ours() -> Any:
        np.copyto(A, columns)
        orthogonalize(A, DAMPING, L, q)
        return A.T, q

    def error(who: str, result: Any) -> float | None:
        """Of F^-1 x."""
        if who == "torch GEMM":
            return None
        V, pivots = (np.asarray(part, np.float64) for part in result)
        return float(np.linalg.norm(x / DAMPING - V.T @ (V @ x / pivots) - exact) / np.linalg.norm(exact))

    def peers() -> dict[str, Contender]:
        rows, held = torch.from_numpy(G), torch.empty(WINDOW, BUILD_DIM)
        return {
            "torch GEMM": lambda: rows @ rows.T,
            "torch recursion": lambda: torch_recursion(held.copy_(rows), DAMPING),
        }

    return Case(ours, peers, error)


def _dual_weights(G: np.ndarray, x: np.ndarray) -> np.ndarray:
    wide = G.astype(np.float64)
    K = wide @ wide.T + len(G) * DAMPING * np.eye(len(G))
    return np.linalg.solve(K, wide @ x) / DAMPING


def _elements() -> Case:
    window = MFAC(DIM, WINDOW, DAMPING, method="static")
    inner = window._window
    assert isinstance(inner, StaticWindow)
    # Its numbers do not matter for time, and the recursion would take minutes.
    inner._columns[:] = np.float32(1e-3)
    inner.count, inner._built_with = WINDOW, DAMPING
    inner._L, inner._q = np.eye(WINDOW)[None], np.full((1, WINDOW), float(WINDOW))
    pairs = [tuple(map(int, pair)) for pair in np.random.default_rng(2).integers(0, DIM, (QUERIES, 2))]

    def ours() -> float:
        return sum(window.inverse_element(i, j) for i, j in pairs)

    return Case(ours, dict, units=QUERIES)


SHAPE = f"d={DIM:.0e} m={WINDOW}"
BUILD_SHAPE = f"d={BUILD_DIM:.0e} m={WINDOW}"
HEAVY: dict[str, Any] = {"quick": False, "rounds": 7, "seconds": 20.0}
WORKS = [
    Work("M-FAC inverse product", "float32", SHAPE, lambda _: _product(None), Bar("time", 1.05), **HEAVY),
    Work(
        "M-FAC inverse product", "bfloat16", SHAPE, lambda _: _product("bfloat16"), Bar("time", 0.6), **HEAVY
    ),
    *(
        Work(
            f"M-FAC static build, of {name}",
            "float32",
            f"{BUILD_SHAPE}{kind}",
            lambda _, alike=bool(kind): _build(alike),  # type: ignore[misc]
            bar,
            **HEAVY,
        )
        for name, bar in (
            ("GEMM", Bar("fraction", 0.6, ("torch GEMM",))),
            ("recursion", Bar("time", 1 / 3, ("torch recursion",))),
        )
        for kind in ("", ", alike")
    ),
    Work(
        "M-FAC elements, 10 us each",
        "float32",
        SHAPE,
        lambda _: _elements(),
        Bar("rate", 1e-4),
        **{**HEAVY, "threads": (1,)},
    ),
]
