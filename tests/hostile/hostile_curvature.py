# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Averaged factors, their inverses and windows under attack: batches, and what they are applied to.

An object that refuses an input must be as it was before: `unchanged` looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hostile_targets import Array, Target, exponent, precision, rescale, slack

from randnla.curvature import (
    MFAC,
    SSN,
    BrandFactor,
    GradientWindow,
    KroneckerFactor,
    LowRankFactor,
    LowRankInverse,
    Nystrom,
)

RANK = 5


def side(A: Any, axis: int) -> int:
    try:
        shape = getattr(A, "shape", None) or np.shape(A)
    except ValueError:  # a ragged list
        return 24
    return max(1, int(shape[axis])) if len(shape) == 2 else 24


def dtype_for(A: Any) -> Any:
    """Of an object that takes A without loss."""
    is_complex = getattr(getattr(A, "dtype", None), "kind", "f") == "c"
    pair = (np.complex64, np.complex128) if is_complex else (np.float32, np.float64)
    return pair[0] if precision(A) > 1e-10 else pair[1]


def same(first: Any, second: Any) -> bool:
    return all(np.array_equal(first[key], second[key]) for key in first)


def unchanged(held: Any, call: Callable[[], Any]) -> Any:
    """The result; where it is an error `held` must have its old state."""
    before = held.state_dict()
    try:
        return call()
    except Exception:
        if not same(before, held.state_dict()):
            raise AssertionError(f"{type(held).__name__} has changed by a call that failed") from None
        raise


# -- batches -------------------------------------------------------------------------------------------


def moment(truth: Array) -> tuple[Array, int]:
    """``A^H A / n`` in units of 4^e."""
    e = exponent(truth)
    A = rescale(truth, e)
    return A.conj().T @ A / len(A), e


def updated(make: Callable[[int, Any], Any]) -> Callable[..., Any]:
    def call(A: Any, **keywords: Any) -> Any:
        factor = make(side(A, 1), dtype_for(A))
        unchanged(factor, lambda: factor.update(A, **keywords))
        return factor.value

    return call


def room(truth: Array, e: int, eps: float) -> float:
    """As `slack`, of squares: what underflows in them counts as rounding."""
    tiny = 2.0**-1074 if eps < 1e-10 else 2.0**-149
    size = 1 + float(np.linalg.norm(rescale(truth, e)))
    with np.errstate(over="ignore"):
        return slack(truth, e, eps) * size + float(squared(tiny, e)) * (4 * truth.size + 1)


def check_moment(value: Any, truth: Array, eps: float) -> str | None:
    exact, e = moment(truth)
    if value.shape != exact.shape:
        return f"shape {value.shape}"
    error, bound = float(np.linalg.norm(squared(value, e) - exact)), room(truth, e, eps)
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def refreshed(A: Any, **keywords: Any) -> Array:
    factor = KroneckerFactor(side(A, 1), dtype=dtype_for(A))
    factor.update(A)
    inverse = LowRankInverse(RANK, rng=0)
    inverse.refresh(factor, **keywords)
    return np.asarray((inverse.U * inverse.s) @ inverse.U.conj().T)


def check_refreshed(value: Any, truth: Array, eps: float) -> str | None:
    exact, e = moment(truth)
    if value.shape != exact.shape:
        return f"shape {value.shape}"
    best = float(np.sum(np.linalg.svd(exact, compute_uv=False)[RANK:]))
    error = float(np.linalg.svd(squared(value, e) - exact, compute_uv=False).sum())
    bound = 1.5 * best + room(truth, e, eps) * len(exact) ** 0.5
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def no_batch(truth: Array) -> bool:
    """Nothing to average, or squares that overflow the dtype of the factor."""
    return truth.size == 0 or beyond(truth)


def beyond(truth: Array) -> bool:
    # Cases of float32 stay below 1e32, those of float64 beyond that go to 1e300.
    top = float(np.abs(truth).max(initial=0.0))
    return top > 1e150 or 1e20 < top < 1e32


def squared(x: Any, e: int) -> Array:
    """``4^-e x``."""
    with np.errstate(over="ignore"):
        return rescale(rescale(x, e), e)


# -- gradients, one by one -----------------------------------------------------------------------------

HELD = 8


def gradients_of(A: Any) -> Any:
    """The rows of a matrix; what is none is one gradient, and to be refused."""
    if isinstance(A, np.ndarray):
        return (np.asarray(A) if isinstance(A, np.matrix) else A) if A.ndim == 2 and len(A) else [A]
    return A if isinstance(A, (list, tuple)) else [A]


def added(make: Callable[[int, Any], Any]) -> Callable[..., Any]:
    def call(A: Any, **keywords: Any) -> Any:
        window = make(side(A, 1), dtype_for(A))
        for g in gradients_of(A):
            unchanged(window, lambda g=g: window.add(g, **keywords))
        return window.gradients()

    return call


def mfac(dim: int, dtype: Any, method: str) -> MFAC:
    return MFAC(dim, HELD, 0.5, method=method, dtype=np.empty(0, dtype).real.dtype)


def check_held(value: Any, truth: Array, eps: float) -> str | None:
    """The last rows, rounded once."""
    exact = truth[-HELD:]
    if np.shape(value) != exact.shape:
        return f"shape {np.shape(value)}"
    e = exponent(truth)
    error, bound = float(np.abs(rescale(value, e) - rescale(exact, e)).max()), slack(truth, e, eps)
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def no_gradients(truth: Array) -> bool:
    """None, or squares beyond float64."""
    return truth.size == 0 or float(np.abs(truth).max()) > 1e154


# -- vectors -------------------------------------------------------------------------------------------


def gradients(n: int) -> Array:
    return np.random.default_rng(8).standard_normal((3, n)).round(2)


def window_for(A: Any) -> GradientWindow:
    n = side(A, 0)
    window = GradientWindow(n, 3, 0.5, dtype=dtype_for(A))
    for g in gradients(n):
        window.add(g)
    return window


def inverse_for(A: Any) -> LowRankInverse:
    n = side(A, 0)
    factor = BrandFactor(n, 3, dtype=dtype_for(A))
    factor.update(gradients(n))
    inverse = LowRankInverse(3, continuation="none", rng=0)
    inverse.refresh(factor, damping=0.5)
    return inverse


def real_dtype(A: Any) -> Any:
    """The preconditioners are real; they refuse complex vectors."""
    return np.float32 if precision(A) > 1e-10 else np.float64


def newton_for(A: Any) -> SSN:
    pre = SSN(0.5)
    pre.update((gradients(side(A, 0)) / 3**0.5).astype(real_dtype(A)))
    return pre


def nystrom_for(A: Any) -> Nystrom:
    pre = Nystrom(3, 0.5, rng=0)
    pre.update((gradients(side(A, 0)) / 3**0.5).astype(real_dtype(A)))
    return pre


def matrix(n: int) -> Array:
    """What the window stands for, and the inverse inverts: damping and the gradients."""
    G = gradients(n)
    return 0.5 * np.eye(n) + G.T @ G / 3


def check_linear(power: int) -> Callable[..., str | None]:
    def check(result: Any, truth: Array, eps: float) -> str | None:
        e, n = exponent(truth), len(truth)
        F = matrix(max(1, n))[:n, :n]
        exact = np.linalg.matrix_power(F, power) @ rescale(truth, e)
        if np.shape(result) != exact.shape:
            return f"shape {np.shape(result)}"
        error = float(np.linalg.norm(rescale(result, e) - exact))
        bound = slack(truth, e, eps) * (1 + float(np.linalg.norm(F)))
        return None if error <= bound else f"error {error:.3e} > {bound:.3e}"

    return check


def check_quadratic(power: int) -> Callable[..., str | None]:
    def check(result: Any, truth: Array, eps: float) -> str | None:
        e, n = exponent(truth), len(truth)
        A = rescale(truth, e)
        exact = np.einsum("ij,ij->j", A.conj(), np.linalg.matrix_power(matrix(max(1, n))[:n, :n], power) @ A)
        if np.shape(result) != exact.shape:
            return f"shape {np.shape(result)}"
        if e > 500:  # beyond the range, as numpy has it
            return None if np.all(np.isposinf(result) | (exact.real < 1e-3)) else f"{result}"
        error = float(np.linalg.norm(squared(result, e) - exact))
        bound = room(truth, e, eps) * (1 + float(np.linalg.norm(matrix(max(1, n)))))
        return None if error <= bound else f"error {error:.3e} > {bound:.3e}"

    return check


def _gradient_targets() -> list[Target]:
    one: dict[str, Any] = {
        "argument": "gradient",
        "dense_only": True,
        "takes_vectors": True,
        "exact_layouts": True,
        "refuses": no_gradients,
    }
    return [
        Target(
            "GradientWindow.add",
            added(lambda dim, dtype: GradientWindow(dim, HELD, 0.5, dtype=dtype)),
            check_held,
            **one,
        ),
        Target(
            "GradientWindow.add in blocks",
            added(lambda dim, dtype: GradientWindow(dim, HELD, 0.5, dtype=dtype, block=7)),
            check_held,
            **one,
        ),
        *(
            Target(
                f"MFAC.add, {method}",
                added(lambda dim, dtype, method=method: mfac(dim, dtype, method)),
                check_held,
                real=True,
                **one,
            )
            for method in ("dual", "dynamic")
        ),
    ]


def _targets() -> list[Target]:
    batch: dict[str, Any] = {"argument": "X", "dense_only": True, "refuses": no_batch}
    found = [
        *(
            Target(f"{kind}.update", updated(make), check_moment, **batch)
            for kind, make in (
                ("KroneckerFactor", lambda dim, dtype: KroneckerFactor(dim, dtype=dtype)),
                ("BrandFactor", lambda dim, dtype: BrandFactor(dim, dim, dtype=dtype)),
                ("LowRankFactor", lambda dim, dtype: LowRankFactor(dim, dim, dtype=dtype, rng=0)),
            )
        ),
        Target("LowRankInverse.refresh", refreshed, check_refreshed, **batch),
        *_gradient_targets(),
    ]
    vectors: dict[str, Any] = {
        "dense_only": True,
        "takes_vectors": True,
        "refuses": lambda truth: truth.shape[0] == 0,
    }
    for name, make, argument, checks in (
        (
            "GradientWindow",
            window_for,
            "x",
            {"apply": check_linear(1), "solve": check_linear(-1), "quadform": check_quadratic(1)},
        ),
        (
            "LowRankInverse",
            inverse_for,
            ("V", "v"),
            {"apply": check_linear(-1), "quadform": check_quadratic(-1)},
        ),
        *(
            (
                name,
                make,
                ("g", "v"),
                {"apply": check_linear(1), "direction": check_linear(-1), "quadform": check_quadratic(1)},
            )
            for name, make in (("SSN", newton_for), ("Nystrom", nystrom_for))
        ),
    ):
        if name in ("SSN", "Nystrom"):
            vectors = {**vectors, "real": True}
        for method, check in checks.items():

            def call(A: Any, *, make: Any = make, method: str = method, **keywords: Any) -> Any:
                return getattr(make(A), method)(A, **keywords)

            word = argument if isinstance(argument, str) else argument[method == "quadform"]
            found.append(Target(f"{name}.{method}", call, check, argument=word, **vectors))
    return found


TARGETS = {target.name: target for target in _targets()}
