# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Trigonometric maps (Hadamard, cosine) and the samplers of coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from randnla import _core
from randnla._backend.device import is_device
from randnla._backend.errors import InputError
from randnla._backend.kernels import chirp, device_maps
from randnla._backend.kernels.streams import KINDS, random_words

Array = NDArray[Any]

_PANEL_BYTES = 4 << 20
# Thresholds of weighted sampling made at a time.
_THRESHOLDS = 1 << 18


def hadamard_order(m: int) -> int:
    """Return the smallest power of two that is at least ``m`` (1 for ``m = 0``)."""
    return 1 << max(m - 1, 0).bit_length()


def apply_hadamard(
    A: Array,
    out: Array,
    *,
    seed: int,
    stream: int,
    d: int,
    row_start: int = 0,
    m: int,
    adjoint: bool = False,
) -> None:
    """Apply rows ``row_start..`` of the SRHT ``S = sqrt(1/d) R H D`` of shape (d, m).

    ``H`` is the Hadamard matrix with entries +-1 (Sylvester order) of order M, the power of two at or
    above ``m``; ``D`` flips signs, ``R`` picks ``d`` of the M rows without replacement, so that
    ``E[S.T S] = I``. ``d`` is at most M.

    Parameters
    ----------
    A : (m, n) array, or (r, n) if `adjoint`
        float32 or float64, any strides.
    out : (r, n) array, or (m, n) if `adjoint`
        Overwritten with ``S[row_start : row_start + r] @ A``, or that block's transpose times ``A``.
        Must not overlap `A`.

    Notes
    -----
    *Algorithm*: fast Walsh-Hadamard transform, ascending levels, with the signs flipped as entries are
    loaded and the sampled rows gathered from cache; padding is never stored. *Cost*: ``n M log2 M``
    additions, one pass over `A`; a thread holds one padded column along the contiguous axis, else a panel
    64 bytes wide (with a small sample: 512 KB, and 1 MB of partial results); signs and positions take
    ``8 M`` bytes. The bits do not depend on layout, threads or instruction
    set.
    """
    if is_device(A):
        positions = sample_coordinates(
            kind="trig_rows",
            seed=seed,
            stream=stream,
            population=hadamard_order(m),
            count=row_start + (A if adjoint else out).shape[0],
        )
        scale, drawn = math.sqrt(1.0 / d), positions[row_start:]
        device_maps.apply_hadamard(A, out, drawn, seed=seed, stream=stream, scale=scale, adjoint=adjoint)
        return
    _core.apply_hadamard(A, out, seed=seed, stream=stream, d=d, row_start=row_start, m=m, adjoint=adjoint)


def trig_signs(m: int, *, seed: int, stream: int, dtype: Any, start: int = 0) -> Array:
    """Return ``m`` entries +-1 of the diagonal of ``D``, from entry `start` on, in the given dtype."""
    first, skipped = divmod(start, 32)
    words = random_words(
        np.empty(-(-(skipped + m) // 32), np.uint32),
        kind="trig_signs",
        seed=seed,
        stream=stream,
        row=0,
        start=first,
    )
    bytes_ = words.astype("<u4", copy=False).view(np.uint8)
    signs = np.unpackbits(bytes_, count=skipped + m, bitorder="little").view(np.int8)[skipped:]
    signs *= -2
    signs += 1
    return signs.astype(dtype, copy=False)


def sample_coordinates(
    *, kind: str, seed: int, stream: int, population: int, count: int
) -> NDArray[np.int64]:
    """Draw ``count`` distinct indices below ``population``.

    Parameters
    ----------
    kind : {"trig_rows", "row_sampling", "leverage"}
        The stream the draws come from.

    Notes
    -----
    *Algorithm*: the first ``count`` steps of a Fisher-Yates shuffle: a longer sample begins with the
    shorter one. *Cost*: O(count) time and memory.
    """
    out = np.empty(count, np.int64)
    _core.sample_coordinates(
        out, kind=KINDS[kind], seed=seed, stream=stream, population=population, replace=False
    )
    return out


def sample_with_replacement(
    *, kind: str, seed: int, stream: int, count: int, population: int, cumulative: Array | None = None
) -> NDArray[np.int64]:
    """Draw ``count`` independent indices below ``population``.

    Uniform, or with the probabilities whose running sums are ``cumulative`` (float64, non-decreasing,
    last entry 1 up to rounding): index i is drawn if it is the first with ``cumulative[i] > u``, and u,
    a 63-bit fraction, is compared exactly. An index of probability zero is never drawn.

    Raises
    ------
    InputError
        If ``cumulative`` has not ``population`` entries.
    """
    out = np.empty(count, np.int64)
    if cumulative is None:
        _core.sample_coordinates(
            out, kind=KINDS[kind], seed=seed, stream=stream, population=population, replace=True
        )
        return out
    if cumulative.shape != (population,):
        raise InputError(f"cumulative: expected shape ({population},), got {cumulative.shape}")
    draws = np.empty(count, np.uint64)
    _core.draw_63_bits(draws, kind=KINDS[kind], seed=seed, stream=stream)
    found = np.zeros(count, np.int64)
    for i in range(0, population, _THRESHOLDS):
        # c > v / 2^63 iff ceil(2^63 c) > v; scaling by a power of two is exact.
        part = np.minimum(cumulative[i : i + _THRESHOLDS], 1.0)
        thresholds = np.ceil(np.ldexp(part, 63)).astype(np.uint64)
        found += np.searchsorted(thresholds, draws, side="right")
    last = np.searchsorted(cumulative, cumulative[-1], side="left")
    return np.asarray(np.minimum(found, last), np.int64)


def apply_cosine(
    A: Array,
    out: Array,
    *,
    seed: int,
    stream: int,
    d: int,
    row_start: int = 0,
    m: int,
    adjoint: bool = False,
    workers: int | None = None,
) -> None:
    """Apply rows ``row_start..`` of the subsampled cosine transform ``S = sqrt(m/d) R C D``.

    ``C`` is the orthonormal DCT-II of order ``m``, any length: ``C[0] = sqrt(1/m)`` and
    ``C[k, j] = sqrt(2/m) cos(pi k (2 j + 1) / (2 m))`` otherwise, so that ``C.T C = I`` and
    ``E[S.T S] = (m/d) D C.T E[R.T R] C D = I``. ``d`` is at most ``m``.

    Parameters
    ----------
    A, out, seed, stream, d, row_start, m, adjoint
        As in `apply_hadamard`.
    workers : int, optional
        Threads of `scipy.fft`; by default its own setting.

    Notes
    -----
    *Algorithm*: Halko, Martinsson, Tropp (2011), section 4.6, with the real transform of `scipy.fft`.
    *Cost*: O(n m log m); panels of columns keep the extra memory within a few columns and 32 MB. Long
    columns whose length has a large prime factor go through `chirp`, in a quarter of the library's memory.
    """
    signs = trig_signs(m, seed=seed, stream=stream, dtype=np.int8)
    sampled = A.shape[0] if adjoint else out.shape[0]
    positions = sample_coordinates(
        kind="trig_rows", seed=seed, stream=stream, population=m, count=row_start + sampled
    )[row_start:]
    if positions.size == 0 or m == 0:
        out[...] = 0
        return
    scale = A.dtype.type(np.sqrt(m / d))
    if chirp.needed(m, A.dtype.itemsize):
        for j in range(A.shape[1]):
            if adjoint:
                column = chirp.cosine_adjoint(A[:, j], positions, m)
                column *= signs
                np.multiply(column, scale, out=out[:, j])
            else:
                np.multiply(chirp.cosine(A[:, j] * signs, positions), scale, out=out[:, j])
        return
    width = max(1, _PANEL_BYTES // (A.dtype.itemsize * m))
    for j in range(0, A.shape[1], width):
        columns = slice(j, min(j + width, A.shape[1]))
        panel = np.zeros((columns.stop - j, m), A.dtype)  # each column of A contiguous
        if adjoint:
            panel[:, positions] = A[:, columns].T
            panel = scipy.fft.idct(panel, type=2, norm="ortho", overwrite_x=True, workers=workers)
            panel *= signs
            np.multiply(panel.T, scale, out=out[:, columns])
        else:
            np.multiply(A[:, columns].T, signs, out=panel)
            panel = scipy.fft.dct(panel, type=2, norm="ortho", overwrite_x=True, workers=workers)
            np.multiply(panel[:, positions].T, scale, out=out[:, columns])
