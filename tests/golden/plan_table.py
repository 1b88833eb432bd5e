# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The table of what method="auto" stands for: run this file to write it again, and read the difference."""

from __future__ import annotations

import json
from pathlib import Path

from randnla.lowrank import definite, plan

PATH = Path(__file__).with_name("plan.json")
SHAPES = [
    (30, 20), (100, 100), (500, 400), (1000, 1000), (2000, 2000), (5000, 2000), (20000, 100), (200000, 200),
    (1000000, 50), (200, 5000), (10000, 10000),
]  # fmt: skip
DTYPES = ("float32", "float64", "complex64", "complex128")
KINDS = ("dense", "sparse", "stream", "operator")
RANKS = (1, 10, 50, 200)
TOLERANCES = (None, 1e-1, 1e-3, 1e-8)
POWERS = plan.SVD_POWER_ITERS
OVERSAMPLE = 10


def table() -> dict[str, dict[str, str]]:
    """Driver -> "m x n, dtype, kind" -> what each rank (or tolerance) gives, in order."""
    found: dict[str, dict[str, str]] = {"svd": {}, "pca": {}, "eigh": {}, "qb": {}, "tolerance": {}}
    for dtype in DTYPES:
        for kind in KINDS:
            found["qb"][f"{dtype}, {kind}"] = " ".join(plan.choose_qb(dtype, tol, kind) for tol in TOLERANCES)
            for shape in SHAPES:
                m, n = shape
                key = f"{m} x {n}, {dtype}, {kind}"
                ranks = [k for k in RANKS if k <= min(shape)]
                sizes = [plan.sketch_size(k, OVERSAMPLE, shape) for k in ranks]
                for name in ("svd", "pca"):
                    found[name][key] = " ".join(
                        plan.choose_svd(shape, dtype, k, size, POWERS, kind, centered=name == "pca")
                        for k, size in zip(ranks, sizes, strict=True)
                    )
                if m == n:
                    found["eigh"][key] = " ".join(
                        plan.choose_eigh(shape, dtype, definite.sketch_size(k, OVERSAMPLE, n), None, kind)
                        for k in ranks
                    )
    for shape in SHAPES:
        for kind in KINDS:
            choice = "full" if plan.prefers_full(shape, kind) else "adaptive"
            found["tolerance"][f"{shape[0]} x {shape[1]}, {kind}"] = choice
    return found


if __name__ == "__main__":
    PATH.write_text(json.dumps(table(), indent=1) + "\n", encoding="utf-8")
