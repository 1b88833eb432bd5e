# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The bandwidth at which the sum of a Gaussian kernel grows the fastest, and scales of single points."""

from __future__ import annotations

import numpy as np

from .cloud import Array

ROWS = 4096
"""Points whose distances are looked at, evenly over the cloud."""
BINS = 8
"""Of the histogram, an octave of squared distances."""
EXPONENTS = np.arange(-20.0, 10.0, 0.1)
LEAST_SUM = 6.0
"""Of a row of the kernel: on lattices the slope has a peak where neighbors begin to see each other."""
DENSITY_NEIGHBORS = 16
"""Neighbors whose mean squared distance is the bandwidth of the density."""


def tuned(squared: Array) -> float:
    """The eps with the largest slope of ``log sum exp(-d^2 / (4 eps))`` over log eps; 0 if no d is positive.

    Coifman, Shkolnisky, Sigworth and Singer (2008), among eps that give rows enough weight. The sum is taken
    over a histogram of log d^2.
    """
    rows = squared[:: max(1, len(squared) // ROWS)]
    positive = rows[rows > 0]
    if positive.size == 0:
        return 0.0
    unit = float(np.median(positive))
    level = np.floor(BINS * np.log2(positive / unit)).astype(np.int64)
    low = int(level.min())
    counts = np.bincount(level - low)
    centers = 2.0 ** ((np.arange(len(counts)) + low + 0.5) / BINS)
    eps = 2.0**EXPONENTS
    z = centers / (4 * eps[:, None])
    terms = counts * np.exp(-z)
    total = terms.sum(axis=1) + rows.size - positive.size
    slope = (terms * z).sum(axis=1) / total
    slope[total < min(LEAST_SUM, 0.5 * rows.shape[1]) * len(rows)] = 0.0
    return unit * float(eps[np.argmax(slope)])


def neighbor_scale(squared: Array) -> Array:
    """The root of the mean squared distance to the nearest points, by point: ``rho_0``."""
    near = squared[:, 1 : DENSITY_NEIGHBORS + 1]
    return np.asarray(np.sqrt(near.mean(axis=1)))
