# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bits of the random streams: known answers, the NumPy oracle, sub-blocks, strides, scale."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randnla import _core
from randnla._backend.errors import InputError
from randnla._backend.generic import streams as oracle
from randnla._backend.kernels import streams

KINDS = ["gaussian", "sign"]
DTYPES = [np.float32, np.float64]
LAST = 2**63 - 1


def bits(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The bit patterns, so that -0.0 differs from 0.0."""
    return np.ascontiguousarray(x).view(np.dtype(f"u{x.dtype.itemsize}"))


def test_philox_known_answers() -> None:
    """The published vectors of Random123 (kat_vectors, philox4x32 10)."""
    counters = np.array(
        [[0] * 4, [0xFFFFFFFF] * 4, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], dtype=np.uint32
    )
    keys = [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0xA4093822, 0x299F31D0)]
    answers = [
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ]
    for i, key in enumerate(keys):
        assert oracle.philox4x32(counters[i : i + 1], key)[0].tolist() == answers[i]


def test_kinds_and_version_agree() -> None:
    assert streams.KINDS == oracle.KINDS
    assert streams.STREAM_VERSION == oracle.STREAM_VERSION == 1
    assert len(set(streams.KINDS.values())) == len(streams.KINDS)


@pytest.mark.parametrize("element_bits", [32, 64])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
def test_stream_keys_agree(seed: int, element_bits: int) -> None:
    for kind in streams.KINDS:
        for stream in (0, 1, 2**32, 2**64 - 1):
            which = {"kind": kind, "seed": seed, "stream": stream, "element_bits": element_bits}
            assert streams.stream_key(**which) == oracle.stream_key(**which)


@pytest.mark.parametrize("row", [0, 3, 2**32, 2**63, 2**64 - 1])
@pytest.mark.parametrize("start", [0, 5, 2**34 - 100, 2**62 + 7, LAST - 1000])
def test_words_agree_with_oracle(row: int, start: int) -> None:
    a, b = np.empty(1000, np.uint32), np.empty(1000, np.uint32)
    which = {"kind": "bits", "seed": 7, "stream": 2, "row": row, "start": start}
    streams.random_words(a, **which)
    np.testing.assert_array_equal(a, oracle.random_words(b, **which))


# Columns whose counters cross 2^32 (float32 Gaussian: 16 counters for 64 columns; float64: 32;
# sign: 2048), indices above 2^32 and 2^40, and the very last ones.
PLACES = [
    (0, 0), (1, 63), (2**32 - 2, 2**34 - 70), (2**32 + 1, 2**33 - 40), (2**40, 2**39 - 3000),
    (5, 2**40 + 17), (LAST - 4, 2**63 - 1 - 5000),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_map_agrees_with_oracle(kind: Any, dtype: Any, place: tuple[int, int]) -> None:
    a, b = np.empty((4, 5000), dtype), np.empty((4, 5000), dtype)
    which = {"kind": kind, "seed": 2**63 + 5, "stream": 9, "row_start": place[0], "col_start": place[1]}
    streams.fill_dense_map(a, **which, scale=0.37)
    oracle.fill_dense_map(b, **which, scale=0.37)
    np.testing.assert_array_equal(bits(a), bits(b))


def test_two_million_gaussians_agree_with_oracle() -> None:
    """Enough numbers that words with rare roundings occur (1 in 10^5 and rarer)."""
    for dtype in DTYPES:
        a, b = np.empty((32, 32768), dtype), np.empty((32, 32768), dtype)
        which = {"kind": "gaussian", "seed": 1, "stream": 0}
        streams.fill_dense_map(a, **which)
        oracle.fill_dense_map(b, **which)
        np.testing.assert_array_equal(bits(a), bits(b))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    corner=st.tuples(st.integers(0, LAST - 9000), st.integers(0, LAST - 9000)),
    cut=st.tuples(st.integers(0, 20), st.integers(0, 5000), st.integers(0, 20), st.integers(0, 5000)),
)
def test_sub_block_is_the_slice(kind: Any, dtype: Any, corner: Any, cut: Any) -> None:
    (r, c), (i0, j0, m, n) = corner, cut
    whole = np.empty((i0 + m, j0 + n), dtype)
    streams.fill_dense_map(whole, kind=kind, seed=3, stream=1, row_start=r, col_start=c)
    part = np.empty((m, n), dtype)
    streams.fill_dense_map(part, kind=kind, seed=3, stream=1, row_start=r + i0, col_start=c + j0)
    np.testing.assert_array_equal(bits(part), bits(whole[i0:, j0:]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(kind=st.sampled_from(KINDS), dtype=st.sampled_from(DTYPES), data=st.data())
def test_chunks_of_rows_and_columns(kind: Any, dtype: Any, data: Any) -> None:
    rows, cols = 21, 4700
    whole = np.empty((rows, cols), dtype)
    which = {"kind": kind, "seed": 11, "stream": 0}
    streams.fill_dense_map(whole, **which)
    row_cuts = [0, *sorted(data.draw(st.lists(st.integers(0, rows), max_size=3))), rows]
    col_cuts = [0, *sorted(data.draw(st.lists(st.integers(0, cols), max_size=3))), cols]
    glued = np.full((rows, cols), np.nan, dtype)
    for i0, i1 in itertools.pairwise(row_cuts):
        for j0, j1 in itertools.pairwise(col_cuts):
            streams.fill_dense_map(glued[i0:i1, j0:j1], **which, row_start=i0, col_start=j0)
    np.testing.assert_array_equal(bits(glued), bits(whole))


LAYOUTS = {
    "fortran": lambda m, n, t: np.empty((m, n), t, order="F"),
    "row_slice": lambda m, n, t: np.empty((3 * m, n), t)[::3],
    "col_slice": lambda m, n, t: np.empty((m, 2 * n), t)[:, 1::2],
    "reversed": lambda m, n, t: np.empty((m, n), t)[::-1, ::-1],
    "fortran_reversed": lambda m, n, t: np.empty((m, n), t, order="F")[:, ::-1],
    "strided_both": lambda m, n, t: np.empty((2 * m, 3 * n), t)[::2, ::3].T[: min(m, n), : min(m, n)].T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_output_strides(kind: Any, dtype: Any, layout: str) -> None:
    out = LAYOUTS[layout](37, 5003, dtype)
    plain = np.empty(out.shape, dtype)
    which = {"kind": kind, "seed": 1, "stream": 1, "row_start": 2, "col_start": 7}
    streams.fill_dense_map(plain, **which)
    streams.fill_dense_map(out, **which)
    np.testing.assert_array_equal(bits(out), bits(plain))


def test_write_stays_inside_the_block() -> None:
    for dtype in DTYPES:
        for kind in KINDS:
            frame = np.full((9, 200), np.nan, dtype)
            streams.fill_dense_map(frame[2:7, 33:150], kind=kind, seed=0, stream=0)
            inside = np.zeros(frame.shape, bool)
            inside[2:7, 33:150] = True
            assert np.isnan(frame[~inside]).all()
            assert np.isfinite(frame[inside]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, -1.0, 0.1, 2.0**-20])
def test_scale_is_one_rounding(kind: Any, dtype: Any, scale: float) -> None:
    plain, scaled = np.empty((3, 3000), dtype), np.empty((3, 3000), dtype)
    streams.fill_dense_map(plain, kind=kind, seed=5, stream=0)
    streams.fill_dense_map(scaled, kind=kind, seed=5, stream=0, scale=scale)
    np.testing.assert_array_equal(bits(scaled), bits(dtype(scale) * plain))


def test_streams_of_both_types_differ() -> None:
    a, b = np.empty((2, 4096), np.float32), np.empty((2, 4096))
    for kind in KINDS:
        streams.fill_dense_map(a, kind=kind, seed=5, stream=0)
        streams.fill_dense_map(b, kind=kind, seed=5, stream=0)
        assert not np.allclose(a, b)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty_blocks(shape: tuple[int, int]) -> None:
    for dtype in DTYPES:
        out = np.empty(shape, dtype)
        assert streams.fill_dense_map(out, kind="gaussian", seed=0, stream=0) is out


def test_bad_calls_are_refused() -> None:
    out = np.empty((2, 2))
    which = {"kind": "gaussian", "seed": 0, "stream": 0}
    with pytest.raises(InputError, match=r"below 2\*\*63"):
        streams.fill_dense_map(out, **which, col_start=2**63 - 2)
    with pytest.raises(InputError, match=r"below 2\*\*63"):
        streams.fill_dense_map(out, **which, row_start=2**63)
    with pytest.raises(InputError, match="float32 or float64"):
        streams.fill_dense_map(np.empty((2, 2), np.int64), **which)
    with pytest.raises(InputError, match="2 dimensions"):
        streams.fill_dense_map(np.empty(2), **which)
    out.flags.writeable = False
    with pytest.raises(InputError, match="read-only"):
        streams.fill_dense_map(out, **which)
    with pytest.raises(InputError, match="kind"):
        _core.fill_dense_map(np.empty((2, 2)), 3, 0, 0, 0, 0, 1.0)
