# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products of any shape and layout against float64, with the bound every summation order obeys."""

from __future__ import annotations

import numpy as np
import pytest

from randnla._backend.kernels import dense, runtime

# Sizes on both sides of every block of the kernels: tile rows, vector lanes, panels, inner blocks, strips.
EXTENTS = (1, 3, 5, 8, 16, 17, 33, 63, 64, 65, 70, 97, 127, 129, 255, 257, 300, 385, 520)


def strided(rng, shape, dtype, layout):
    m, n = shape
    if layout == "C":
        return rng.standard_normal(shape).astype(dtype)
    if layout == "F":
        return np.asfortranarray(rng.standard_normal(shape).astype(dtype))
    if layout == "reversed":
        return rng.standard_normal(shape).astype(dtype)[::-1, ::-1]
    if layout == "sliced":
        return rng.standard_normal((m, 2 * n)).astype(dtype)[:, ::2]
    return np.broadcast_to(rng.standard_normal((1, n)).astype(dtype), shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_product_of_any_shape_and_layout(dtype, threads):
    rng = np.random.default_rng([threads, np.dtype(dtype).itemsize])
    layouts = ("C", "F", "reversed", "sliced", "broadcast")
    runtime.set_team_size(threads)
    try:
        for _ in range(60):
            m, k, n = (int(v) for v in rng.choice(EXTENTS, 3))
            A = strided(rng, (m, k), dtype, rng.choice(layouts))
            B = strided(rng, (k, n), dtype, rng.choice(layouts))
            C = strided(rng, (m, n), dtype, rng.choice(layouts[:4]))
            beta = float(rng.choice([0.0, 1.0, -0.5]))
            exact = 2.0 * (A.astype(np.float64) @ B.astype(np.float64)) + beta * C.astype(np.float64)
            # |fl(sum) - sum| <= gamma_{k+3} sum |a||b| for every order of summation (Higham, section 3.1)
            bound = (
                (k + 3)
                * np.finfo(dtype).eps
                * (
                    2.0 * (np.abs(A).astype(np.float64) @ np.abs(B).astype(np.float64))
                    + abs(beta) * np.abs(C)
                )
            )
            if beta == 0.0:
                C[...] = np.nan  # must be overwritten, not multiplied
            dense.gemm(A, B, C, alpha=2.0, beta=beta)
            assert np.all(np.abs(C - exact) <= bound), (m, k, n, beta, A.strides, B.strides, C.strides)
    finally:
        runtime.set_team_size(0)
