# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Orthonormal bases of the range: Halko, Martinsson and Tropp (2011), Algorithms 4.1, 4.3 and 4.4."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend.device import is_device
from randnla._backend.kernels import device_dense, qr, streams

from .error import PROBES
from .problem import Problem, Run
from .scaling import Array, normalize, scale_by_power

BASIS_STREAM, PROBE_STREAM, FILL_STREAM = 0, 1, 2

PROBE_START = 1 << 62
"""First row of the probes: public maps begin at row 0 and can never reach it, whatever their stream."""


@dataclass
class Sample:
    """A basis of the range of a sketch, with what its certificates need.

    `first`, `probes` and the factors made from the sample are in units of 2^exponent.
    """

    Q: Array  # (m, l), orthonormal
    exponent: int
    probe_map: Array  # (n, r), standard Gaussian, independent of Q
    probes: Array  # (m, r), A probe_map
    first: Array | None = None  # (m, l), A Omega, kept for leave-one-out
    triangles: list[Array] = field(default_factory=list)


def gaussian_rows(
    problem: Problem,
    count: int,
    *,
    stream: int,
    start: int = 0,
    length: int | None = None,
    out: Array | None = None,
) -> Array:
    """Rows start, ..., start + count - 1 of an endless standard Gaussian matrix of n (`length`) columns.

    They are rows of the map ``Gaussian(d, n, rng=seed, stream=stream)`` times sqrt(d): a larger sketch
    of one seed contains the smaller.
    """
    columns = problem.shape[1] if length is None else length
    rows = problem.empty(count, columns) if out is None else out
    streams.fill_dense_map(rows, kind="gaussian", seed=problem.seed, stream=stream, row_start=start)
    return rows


def probe_rows(problem: Problem, *, stream: int = PROBE_STREAM, out: Array | None = None) -> Array:
    """The rows of the certificate's probes, independent of every map that a caller may hand in."""
    return gaussian_rows(problem, PROBES, stream=stream, start=PROBE_START, out=out)


def basis_rows(problem: Problem, count: int, start: int = 0, *, out: Array | None = None) -> Array:
    """`gaussian_rows` of the sketch that makes the basis; says so in ``problem.sketch``."""
    if count:
        problem.sketch = "gaussian"
    return gaussian_rows(problem, count, stream=BASIS_STREAM, start=start, out=out)


def orthonormalize(problem: Run, Y: Array) -> tuple[Array, Array]:
    """Q, R = qr(Y), orthonormal to rounding whatever the rank of Y; fallbacks go to the path."""
    Q, R, route = qr.cholesky_qr(Y, seed=problem.seed)
    if route not in problem.path:
        problem.path.append(route)
    return Q, R


def first_sketch(
    problem: Problem, size: int, sketch: Any, start: Array | None = None
) -> tuple[Array, Array, Array, int]:
    """Y = A Omega and Z = A (probes), both in units of the returned power of two.

    A Gaussian sketch and its probes are one product, so the certificate costs no pass. `start` is a
    block to take in place of Omega: a basis of an earlier call.
    """
    on_device = start is not None and is_device(start)
    if on_device or (start is None and sketch == "gaussian"):
        size = size if start is None else start.shape[1]
        both = problem.empty(size + PROBES, problem.shape[1])
        if start is None:
            basis_rows(problem, size, out=both[:size])
        else:
            device_dense.combine(both[:size].T, start)
        probe_rows(problem, out=both[size:])
        Y, exponent = problem.first(both.T)
        return Y[:, :size], Y[:, size:], both[size:].T, exponent
    rows_of_probes = probe_rows(problem)
    if start is not None:
        Y, exponent = problem.first(np.concatenate([start.T, rows_of_probes]).T)
        size = start.shape[1]
        return Y[:, :size], Y[:, size:], rows_of_probes.T, exponent
    S = sketch(size, problem.shape[1])
    problem.sketch = str(S.kind)
    # One product each; both brought to the exponent of the larger.
    Z, exponent = problem.first(rows_of_probes.T)
    Y = problem.sketched(S)
    return scale_by_power(Y, -exponent - problem.shift), Z, rows_of_probes.T, exponent


def iterate(problem: Problem, Y: Array, power_iters: int, triangles: list[Array]) -> Array:
    """Q of (A A^H)^q Y by Algorithm 4.4: orthonormalized after every product with A or A^H."""
    Q, R = orthonormalize(problem, Y)
    triangles.append(R)
    for _ in range(power_iters):
        W, R = orthonormalize(problem, problem.adjoint(Q, coarse=True))
        triangles.append(R)
        Q, R = orthonormalize(problem, problem.forward(W, coarse=True))
        triangles.append(R)
        problem.report("subspace iteration")
    return Q


def multiply(problem: Problem, Y: Array, power_iters: int) -> Array:
    """Q of (A A^H)^q Y by Algorithm 4.3: one orthonormalization, at the end.

    Directions with sigma_j / sigma_1 below u^(1/(2q+1)) drown in rounding; Algorithm 4.4 keeps them.
    """
    for _ in range(power_iters):
        W = problem.adjoint(Y, coarse=True)
        normalize(W)
        Y = problem.forward(W, coarse=True)
        normalize(Y)
        problem.report("power iteration")
    return orthonormalize(problem, Y)[0]


def sample_range(
    problem: Problem,
    size: int,
    power_iters: int,
    *,
    method: str,
    sketch: Any = "gaussian",
    start: Array | None = None,
) -> Sample:
    """An orthonormal basis of `size` columns by Algorithm 4.1 (proto), 4.3 (power) or 4.4 (subspace)."""
    Y, Z, probe_map, exponent = first_sketch(problem, size, sketch, start)
    problem.report("sketch")
    triangles: list[Array] = []
    if method == "power" and power_iters:
        Q = multiply(problem, Y, power_iters)
    else:
        Q = iterate(problem, Y, 0 if method == "proto" else power_iters, triangles)
    return Sample(Q, exponent, probe_map, Z, Y, triangles)
