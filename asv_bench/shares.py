# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where the time of the decompositions goes: matrix products, factorizations, the rest.

    python asv_bench/shares.py [--threads 1] [--scale 1.0]

Times are CPU times of the kernels of the compiled core, as the profiler of Python sees them: products inside
a compiled factorization (blocked QR, Cholesky QR) count as the factorization's.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse

import randnla

PRODUCTS = (
    "gemm", "gram", "moments", "crossed_gram", "symmetric_product", "multiply_columns", "csr_matmul",
    "csr_transposed_matmul", "kernel_block", "kernel_product", "precondition", "solve_right",
)  # fmt: skip
SKETCHES = ("apply_dense_map", "apply_sparse_map", "apply_hadamard", "csr_sketch", "fill_dense_map")
FACTORS = (
    "blocked_pivoted_qr", "cholesky_factor", "cholesky_qr", "form_q", "geqrt", "householder_qr",
    "invert_upper", "leading_eigh", "small_cholesky", "small_eigh", "small_pivoted_qr", "small_svd",
    "semidefinite_pencil", "symmetric_pencil", "tsqr", "lu_swaps",
)  # fmt: skip
KINDS = {**dict.fromkeys(PRODUCTS, 0), **dict.fromkeys(SKETCHES, 1), **dict.fromkeys(FACTORS, 2)}


def drivers(scale: float) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every driver of the room of decompositions, on the sizes of the ratio table."""
    rng = np.random.default_rng(0)
    m, n, k = int(5000 * scale), int(2000 * scale), 50
    d = 1.0 / np.arange(1, n + 1)
    A = (rng.standard_normal((m, n), dtype=np.float32) * d.astype(np.float32)) @ np.linalg.qr(
        rng.standard_normal((n, n), dtype=np.float32)
    )[0]
    S = (A.T @ A) / np.float32(m)
    sparse = scipy.sparse.random_array((20 * n, 4 * n), density=2e-3, rng=0, dtype=np.float32).tocsr()
    tall = rng.standard_normal((int(100_000 * scale), 300), dtype=np.float32)
    shape = f"{m}x{n} k={k}"
    yield f"svd {shape}", lambda: randnla.svd(A, k, rng=0)
    yield f"svd krylov {shape}", lambda: randnla.svd(A, k, method="krylov", rng=0)
    yield f"svd farpca {shape}", lambda: randnla.svd(A, k, method="farpca", rng=0)
    yield f"svd single_pass {shape}", lambda: randnla.svd(A, k, method="single_pass", rng=0)
    yield f"svd sparse {sparse.shape[0]}x{sparse.shape[1]} k={k}", lambda: randnla.svd(sparse, k, rng=0)
    yield f"range_finder {shape}", lambda: randnla.range_finder(A, k, rng=0)
    yield f"qb {shape}", lambda: randnla.qb(A, k, rng=0)
    yield f"eigh {n} k={k}", lambda: randnla.eigh(S, k, rng=0)
    yield f"nystrom {n} k={k}", lambda: randnla.nystrom(S, k, rng=0)
    yield f"pca {shape}", lambda: randnla.pca(A, k, rng=0)
    yield f"interpolative {shape}", lambda: randnla.interpolative(A, k, rng=0)
    yield f"cur {shape}", lambda: randnla.cur(A, k, rng=0)
    yield f"rpcholesky {n} k={k}", lambda: randnla.rpcholesky(S, k, rng=0)
    yield f"qr {tall.shape[0]}x300", lambda: randnla.qr(tall)
    yield f"pivoted_qr {tall.shape[0]}x300", lambda: randnla.pivoted_qr(tall)
    yield f"pivoted_qr {n}x{n}", lambda: randnla.pivoted_qr(S, mode="raw")
    yield f"utv {n}x{n}", lambda: randnla.utv(S)


def shares(call: Callable[[], Any]) -> tuple[float, list[float]]:
    """CPU time in ms, and the parts of it in products, sketches, factorizations and everything else."""
    call()
    profile = cProfile.Profile(time.process_time)
    profile.runcall(call)
    stats: Any = pstats.Stats(profile)
    parts = [0.0] * 4
    for (_, _, name), (_, _, own, _, _) in stats.stats.items():
        kernel = name.rsplit(".", 1)[-1].rstrip(">") if "_core." in name else ""
        parts[KINDS.get(kernel, 3)] += own
    return 1e3 * stats.total_tt, [part / stats.total_tt for part in parts]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of all sides but the rank")
    chosen = parser.parse_args()
    randnla.set_num_threads(chosen.threads)
    print(f"{'driver':36} {'CPU ms':>8} {'products':>9} {'sketches':>9} {'factors':>9} {'rest':>6}")
    for name, call in drivers(chosen.scale):
        total, parts = shares(call)
        cells = (f"{part:{width}.0%}" for part, width in zip(parts, (9, 9, 9, 6), strict=True))
        print(f"{name:36} {total:8.1f} " + " ".join(cells))


if __name__ == "__main__":
    main()
