# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Estimators under attack: within twenty standard errors of the truth, for one seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hostile_targets import Array, Target, exponent, parameters, rescale, slack

import randnla
from randnla import estimate

RANK_TOL = 1e-3


def check_linear(true: Callable[[Array], Any]) -> Callable[[Any, Array, float], str | None]:
    """For what scales with the matrix."""

    def check(result: Any, truth: Array, eps: float) -> str | None:
        e = exponent(truth)
        value, error = rescale(result.value, e), rescale(result.std_error, e)
        exact = np.asarray(true(rescale(truth, e)))
        if value.shape != exact.shape:
            return f"shape {value.shape}, expected {exact.shape}"
        off, bound = (float(np.linalg.norm(np.atleast_1d(x))) for x in (value - exact, 20 * error))
        bound += slack(truth, e, eps)
        return None if off <= bound else f"error {off:.3e} > {bound:.3e}"

    return check


def largest(A: Array) -> float:
    return float(np.linalg.svd(A, compute_uv=False).max(initial=0.0))


def check_squares(result: Any, truth: Array, eps: float) -> str | None:
    """Sums of squares, at the scale of A squared; what overflows is infinite, what underflows zero."""
    e = exponent(truth)
    exact = np.sum(np.abs(rescale(truth, e)) ** 2, axis=1)
    if result.value.shape != exact.shape:
        return f"shape {result.value.shape}, expected {exact.shape}"
    most, least = (1000, -1000) if eps < 1e-10 else (110, -120)
    if 2 * e > most or 2 * e < least:
        return "a NaN" if np.isnan(result.value).any() else None
    error = np.abs(rescale(rescale(result.value, e), e) - exact)
    bound = 20 * rescale(rescale(result.std_error, e), e) + 200 * eps * len(truth) * exact.max(initial=0.0)
    return None if np.all(error <= bound) else f"error {(error - bound).max():.3e} beyond the bound"


def nuclear(A: Array) -> float:
    return float(np.linalg.svd(A, compute_uv=False).sum())


def absolute_trace(A: Any, **keywords: Any) -> Any:
    return estimate.trace_function(np.abs, A, **keywords)


def eigenvalues(truth: Array) -> Array:
    A = rescale(truth, exponent(truth))
    return np.linalg.eigvalsh((A + A.conj().T) / 2)


def not_definite(truth: Array, eps: float) -> bool:
    """An eigenvalue is not positive beyond rounding."""
    if not truth.size or truth.shape[0] != truth.shape[1]:
        return False
    w = eigenvalues(truth)
    return bool(w[0] <= len(w) * eps * np.abs(w).max())


def check_logdet(result: Any, truth: Array, eps: float) -> str | None:
    w = eigenvalues(truth)
    exact = float(np.log(w).sum()) + len(w) * exponent(truth) * np.log(2) if w.size else 0.0
    steep = float(w[-1] / w[0]) if w.size else 0.0
    off, bound = abs(result.value - exact), 20 * result.std_error + 100 * len(w) * eps * (steep + abs(exact))
    return None if off <= bound else f"error {off:.3e} > {bound:.3e}"


def check_condition(result: Any, truth: Array, eps: float) -> str | None:
    s = np.linalg.svd(rescale(truth, exponent(truth)), compute_uv=False)
    if s[-1] <= max(truth.shape) * eps * s[0]:  # singular, or as good as
        return None if result.value >= 0.01 / (max(truth.shape) * eps) else f"condition {result.value:.3e}"
    exact = s[0] / s[-1]
    # A denormal matrix has entries of few bits, but they are what it is.
    return (
        None if abs(result.value - exact) <= 1e3 * eps * exact**2 else f"{result.value:.6e}, not {exact:.6e}"
    )


def check_rank(result: Any, truth: Array, eps: float) -> str | None:
    s = np.linalg.svd(rescale(truth, exponent(truth)), compute_uv=False)
    top = s.max(initial=0.0)
    low, high = (int(np.sum((s > RANK_TOL * (1 + room) * top) & (s > 0))) for room in (0.01, -0.01))
    return None if low <= result.value <= high else f"rank {result.value}, expected {low} to {high}"


def check_density(result: Any, truth: Array, eps: float) -> str | None:
    x, e = rescale(result.points, exponent(truth)), exponent(truth)
    if not np.all(np.isfinite(result.density)):
        return None if e < -1000 or (eps > 1e-10 and e < -120) else "not finite"
    density = rescale(result.density, -e)
    total = float(np.sum((density[1:] + density[:-1]) / 2 * np.diff(x)))
    return None if abs(total - 1) <= 0.1 else f"integral {total}"


def _called(function: Any, **usual: Any) -> Callable[..., Any]:
    return lambda A, **keywords: function(A, **{"rng": 0, **usual, **keywords})


def _targets() -> list[Target]:
    rows: list[tuple[Any, dict[str, Any], Any, str, dict[str, Any]]] = [
        # Methods that ask for semidefinite matrices tell when one is not Hermitian.
        (randnla.trace, {"budget": 12, "method": "xnystrace"}, check_linear(np.trace), "semidefinite", {}),
        (randnla.diag, {"budget": 12, "method": "xnysdiag"}, check_linear(np.diag), "semidefinite", {}),
        (estimate.squared_row_norms, {"budget": 60}, check_squares, "general", {}),
        (randnla.norm, {}, check_linear(largest), "general", {"whole": True, "mapped_tolerance": 1e-5}),
        (randnla.estimate_rank, {"tol": RANK_TOL}, check_rank, "general", {}),
        (randnla.cond, {}, check_condition, "general", {"refuses": lambda A: A.size == 0}),
        # Mapped, a matrix goes by samples: its value is judged by `check`, and has another error.
        (
            randnla.logdet,
            {},
            check_logdet,
            "semidefinite",
            {"breaks": not_definite, "whole": True, "mapped_tolerance": np.inf},
        ),
        (
            randnla.spectral_density,
            {"degree": 8, "samples": 4},
            check_density,
            "symmetric",
            {"refuses": lambda A: A.shape == (0, 0)},
        ),
    ]
    traced = Target(
        "trace_function",
        _called(absolute_trace),
        check_linear(nuclear),
        "symmetric",
        parameters=parameters(estimate.trace_function) - {"f", "rank"},
    )
    return [traced] + [
        Target(
            function.__name__,
            _called(function, **usual),
            check,
            kind,
            parameters=parameters(function) - {"size", "budget"},
            **more,
        )
        for function, usual, check, kind, more in rows
    ]


TARGETS = {target.name: target for target in _targets()}
