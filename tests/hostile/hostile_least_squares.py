# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares under attack: the residual of the answer is the least, to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from hostile_functions import rows_of
from hostile_targets import Array, Target, exponent, parameters, rescale

import randnla


def solved(A: Any, **keywords: Any) -> Any:
    return randnla.lstsq(A, np.cos(np.arange(rows_of(A))) + 2, **{"rng": 0, **keywords})


def check(result: Any, truth: Array, eps: float) -> str | None:
    x, (m, n), e = np.asarray(result.x), truth.shape, exponent(truth)
    if x.shape != (n,):
        return f"shape {x.shape}"
    A, found, b = rescale(truth, e), rescale(x, -e), np.cos(np.arange(m)) + 2
    if not np.all(np.isfinite(found)):
        return "not finite"
    U, s, _ = np.linalg.svd(A, full_matrices=False)
    kept = U[:, s > 1e3 * max(m, n) * eps * s.max(initial=0.0)]
    least = float(np.linalg.norm(b - kept @ (kept.conj().T @ b)))
    left = float(np.linalg.norm(b - A @ found))
    # Of the largest entry of x: its squares may overflow.
    size = float(np.linalg.norm(A)) * float(np.abs(found).max(initial=0.0)) * np.sqrt(n)
    room = 1e3 * eps * (size + float(np.linalg.norm(b)))
    return None if left <= least + room else f"residual {left:.6e}, the least is {least:.6e}"


TARGETS = {
    "lstsq": Target(
        "lstsq",
        solved,
        check,
        whole=True,
        mapped_tolerance=1e-5,
        refuses=lambda truth: 0 < float(np.abs(truth).max(initial=0.0)) < 1e-306,
        parameters=parameters(randnla.lstsq) - {"b", "weights"},
    )
}
