# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random maps and factorizations on a GPU against NumPy, and their times; for `tools/gpu_check.sh`.

``check`` compares every product with that of the same map and a NumPy array, and every factorization with
that of the same seed, and exits 1 where one differs;
``bench`` times them: three calls to warm up, the median of twenty between CUDA events.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import randnla

MAPS: dict[str, Any] = {
    "gaussian": randnla.Gaussian,
    "sign": randnla.Sign,
    "sparse_sign": randnla.SparseSign,
    "countsketch": randnla.CountSketch,
    "srht": randnla.SRHT,
    "row_sampling": randnla.RowSampling,
}
FACTORIZATIONS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "qr": lambda A: tuple(randnla.qr(A, rng=7)),
    "svd": lambda A: tuple(randnla.svd(A, 5, rng=7, method="subspace")),
    "range_finder": lambda A: tuple(randnla.range_finder(A, 5, rng=7, method="subspace")),
    "eigh": lambda A: tuple(randnla.eigh(A, 5, rng=7, method="subspace")),
    "nystrom": lambda A: tuple(randnla.nystrom(A, 5, rng=7)),
    "svd_tol": lambda A: tuple(randnla.svd(A, tol=0.3, rng=7, method="subspace")),
    "svd_sketch": lambda A: tuple(randnla.svd(A, 5, sketch="sparse_sign", rng=7, method="subspace")),
    "pca": lambda A: tuple(randnla.pca(A, 5, rng=7, method="subspace")),
    "lstsq": lambda A: tuple(randnla.lstsq(A[:, 1:], A[:, 0], rng=7)),
    "kronecker": lambda A: (randnla.Kronecker(A[:6, :4], A[:3, :5]) @ A[:20],),
    "woodbury": lambda A: (randnla.DiagonalPlusLowRank(0.5, A[:, :3], [1.0, 2.0, 3.0]).solve(A),),
}
"""Of A, whatever has factors, solutions or products to compare."""
DENSE = ("gaussian", "sign")  # the float32 sign map has the bits, but is not held to them


def products(name: str, S: Any) -> dict[str, Callable[[Any], Any]]:
    """The products a map has kernels for; each takes an array of as many rows as the map has columns."""
    forward = {"S @ A": lambda A: S @ A, "A.T @ S.T": lambda A: A.T @ S.T}
    return forward if name == "row_sampling" else forward | {"S.T @ B": lambda A: S.T @ A[: S.shape[0]]}


def differs(name: str, found: Any, expected: Any) -> bool:
    """Bits for maps that add in the core's order; sums of dense maps to the rounding of their length."""
    if name not in DENSE:
        return not np.array_equal(found, expected)
    limit = 64 * np.finfo(found.dtype).eps * float(abs(expected).max())
    return not bool((abs(found - expected) <= limit).all())


def check(to_device: Callable[[Any], Any], to_host: Callable[[Any], Any], shape: tuple[int, int]) -> int:
    """Compare all products; print a line each and return how many differ."""
    wrong = 0
    d, (m, n) = max(2, shape[0] // 8), shape
    for name, kind in MAPS.items():
        for dtype in (np.float32, np.float64):
            S = kind(d, m, rng=7, dtype=dtype)
            A = np.random.default_rng(0).standard_normal((m, n)).astype(dtype)
            for label, product in products(name, S).items():
                bad = differs(name, to_host(product(to_device(A))), product(A))
                print(f"{'DIFFERS' if bad else 'agrees':8} {name:12} {np.dtype(dtype).name:8} {label}")
                wrong += bad
    for name, factorize in FACTORIZATIONS.items():
        for dtype in (np.float32, np.float64):
            A = decaying(n if name in ("eigh", "nystrom") else m, n).astype(dtype)
            limit = 4096 * np.finfo(dtype).eps
            pairs = zip(map(to_host, factorize(to_device(A))), factorize(A), strict=True)
            bad = any(abs(found - expected).max() > limit for found, expected in pairs)
            print(f"{'DIFFERS' if bad else 'agrees':8} {name:12} {np.dtype(dtype).name:8} factors")
            wrong += bad
    return wrong


def decaying(m: int, n: int) -> Any:
    """A matrix of singular values 1, 1/2, 1/4, ... down to 1/32; symmetric where it is square."""
    rng = np.random.default_rng(1)
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    U = V if m == n else np.linalg.qr(rng.standard_normal((m, n)))[0]
    return (U * 0.5 ** np.minimum(np.arange(n), 5)) @ V.T


def timed(cupy: Any, call: Callable[[], Any]) -> float:
    """Median milliseconds of twenty calls."""
    for _ in range(3):
        call()
    times = []
    for _ in range(20):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        call()
        stop.record()
        stop.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, stop))
    return statistics.median(times)


def bench(cupy: Any) -> list[dict[str, Any]]:
    """Times of ``S @ A`` beside a copy of A and a product with the stored dense map."""
    rows = []
    for m, n, d in ((1 << 15, 4096, 64), (1 << 13, 16384, 256)):
        A = cupy.random.standard_normal((m, n), dtype=cupy.float32)
        stored = cupy.random.standard_normal((d, m), dtype=cupy.float32)
        copy = timed(cupy, A.copy)
        product = timed(cupy, lambda A=A, S=stored: S @ A)
        for name, kind in MAPS.items():
            S = kind(d, m, rng=7, dtype=np.float32)
            ms = timed(cupy, lambda A=A, S=S: S @ A)
            row = {"map": name, "m": m, "n": n, "d": d, "ms": ms}
            row |= {"GB/s": A.nbytes / ms / 1e6, "copies of A": ms / copy, "stored products": ms / product}
            rows.append(row)
            print(
                " ".join(
                    f"{key} {value:.4g}" if key != "map" else f"{value:12}" for key, value in row.items()
                )
            )
    return rows


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("check", "bench"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import cupy

    if arguments.what == "check":
        return int(check(cupy.asarray, cupy.asnumpy, (3000, 37)) > 0)
    rows = bench(cupy)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
