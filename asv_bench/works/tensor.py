# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products with tensors and their decompositions."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers_tensor
from conditions import find
from numpy.typing import NDArray

from .base import Bar, Case, Contender, Work

Array = NDArray[Any]


def _mttkrp(d: int, r: int, mode: int) -> Case:
    mttkrp = find("randnla._backend.kernels.tensor", "mttkrp")
    gemm = find("randnla._backend.kernels.dense", "gemm")
    rng = np.random.default_rng(0)
    T = rng.standard_normal((d, d, d))
    factors = [rng.standard_normal((d, r)) for _ in range(3)]
    wanted = peers_tensor.by_hand_mttkrp(T, factors, mode)
    # Square matrices of the same products: the speed of the GEMM.
    n = round((d**3 * r) ** (1 / 3))
    square = rng.standard_normal((n, n))

    def error(who: str, found: Any) -> float | None:
        if who == "gemm":
            return None
        return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))

    return Case(
        lambda: mttkrp(T, factors, mode),
        lambda: {
            "gemm": lambda: gemm(square, square),
            "by hand": lambda: peers_tensor.by_hand_mttkrp(T, factors, mode),
            "einsum": lambda: peers_tensor.einsum_mttkrp(T, factors, mode),
            "tensorly": lambda: peers_tensor.tensorly_mttkrp(T, factors, mode),
        },
        error,
    )


def _noisy(d: int, r: int, delta: float, noise: float) -> Array:
    """Components of falling weight, whose vectors meet in a product of delta / (r - 1), and noise."""
    rng = np.random.default_rng(0)
    factors, eta = [], np.sqrt((delta / (r - 1)) ** (-2 / 3) - 1)
    for _ in range(3):
        Q = np.linalg.qr(rng.standard_normal((d, r)))[0]
        Q[:, 1:] = (Q[:, [0]] + eta * Q[:, 1:]) / np.sqrt(1 + eta**2)
        factors.append(Q)
    factors[0] *= 10 * d**0.75 * 1.25 ** np.arange(r)[::-1]
    T = np.einsum("ir,jr,kr->ijk", *factors, optimize=True)
    return T + noise * rng.standard_normal(T.shape)


def _cp(d: int, r: int, noise: float) -> Case:
    cp = find("randnla.tensor", "cp")
    T = _noisy(d, r, 0.3, noise)

    def contenders() -> dict[str, Contender]:
        return {
            "tensorly": lambda: peers_tensor.tensorly_parafac(T, r),
            "by hand, 30 sweeps": lambda: peers_tensor.by_hand_als(T, r, 30),
        }

    def error(who: str, found: Any) -> float:
        factors = found if isinstance(found, list) else [found.factors[0] * found.weights, *found.factors[1:]]
        left = T - np.einsum("ir,jr,kr->ijk", *factors, optimize=True)
        return float(np.linalg.norm(left) / np.linalg.norm(T))

    return Case(lambda: cp(T, r, rng=0), contenders, error)


def _tucker(d: int, r: int) -> Case:
    hosvd = find("randnla.tensor", "hosvd")
    T = _noisy(d, r, 0.3, 0.1)

    def error(who: str, found: Any) -> float:
        core, factors = found if isinstance(found, tuple) else (found.core, found.factors)
        left = T - np.einsum("abc,ia,jb,kc->ijk", core, *factors, optimize=True)
        return float(np.linalg.norm(left) / np.linalg.norm(T))

    return Case(
        lambda: hosvd(T, r, rng=0), lambda: {"tensorly": lambda: peers_tensor.tensorly_tucker(T, r)}, error
    )


def _map(kind: str, d: int, side: int, r: int) -> Case:
    """The sketch of a Khatri-Rao product with itself, which is never formed."""
    S = find("randnla.sketching", kind)(d, side**2, dims=(side, side), rng=0)
    F = np.random.default_rng(0).standard_normal((side, r))
    count = find("randnla.sketching", "CountSketch")(d, side**2, rng=0)
    norms = (F**2).sum(axis=0) ** 2

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        calls: dict[str, Contender] = {"formed, CountSketch": lambda: count @ peers_tensor.khatri_rao(F, F)}
        if kind == "TensorSketch":
            calls["by hand"] = lambda: peers_tensor.by_hand_tensor_sketch([F, F], d, rng)
            calls["sklearn PolynomialCountSketch"] = lambda: peers_tensor.sklearn_tensor_sketch(F, 2, d)
        else:
            calls["by hand"] = lambda: peers_tensor.by_hand_khatri_rao_sketch([F, F], d, rng)
        return calls

    def error(who: str, found: Any) -> float:
        """Of the squared lengths of columns, root mean square, relative: about (2 / d)^(1/2) or more."""
        return float(np.sqrt(np.mean(((found**2).sum(axis=0) / norms - 1) ** 2)))

    return Case(lambda: S.apply_khatri_rao([F, F]), contenders, error)


WORKS = [
    *[
        Work(
            kind,
            "float64",
            "1000 x 1000 columns, r = 100, d = 1024",
            lambda _, kind=kind: _map(kind, 1024, 1000, 100),
            error_limit=0.2,
        )  # type: ignore[misc]
        for kind in ("TensorSketch", "KhatriRaoSketch")
    ],
    *[
        Work(
            f"mttkrp mode {mode}",
            "float64",
            "200 x 200 x 200, r = 20",
            lambda _, mode=mode: _mttkrp(200, 20, mode),
            bar=Bar("fraction", 0.5 if mode == 1 else 0.6, ("gemm",)),
            note="GEMM of as many flops",
        )  # type: ignore[misc]
        for mode in range(3)
    ],
    Work(
        "cp",
        "float64",
        "100 x 100 x 100, r = 5, noise",
        lambda _: _cp(100, 5, 1.0),
        bar=Bar("time", 1 / 3, ("tensorly",)),
        error_over_best=1.001,
        rounds=5,
    ),
    Work(
        "cp",
        "float64",
        "100 x 100 x 100, r = 5, no noise",
        lambda _: _cp(100, 5, 0.0),
        bar=Bar("time", 1 / 3, ("tensorly",)),
        error_limit=1e-7,
        rounds=5,
    ),
    Work(
        "tucker",
        "float64",
        "100 x 100 x 100, r = 5",
        lambda _: _tucker(100, 5),
        error_over_best=1.01,
        rounds=5,
    ),
]
