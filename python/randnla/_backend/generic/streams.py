# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oracle of ``kernels.streams``: the stream contract in plain NumPy, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
f4, f8, i4, i8, u4, u8 = np.float32, np.float64, np.int32, np.int64, np.uint32, np.uint64

STREAM_VERSION = 1
KINDS = {
    "bits": 0,
    "gaussian": 1,
    "sign": 2,
    "sparse_sign": 3,
    "countsketch": 4,
    "trig_signs": 5,
    "trig_rows": 6,
    "row_sampling": 7,
    "leverage": 8,
    "pivots": 9,
    "entries": 10,
    "khatri_rao": 11,
    "tensor_sketch": 12,
}
_LOW = 0xFFFFFFFF
_LANES = 16


def philox4x32(counter: Array, key: tuple[int, int]) -> Array:
    """Philox4x32-10 of every row of `counter` (n x 4, uint32); the words, n x 4."""
    x = [counter[:, w].astype(u8) for w in range(4)]
    k0, k1 = key
    for _ in range(10):
        p, q = x[0] * u8(0xD2511F53), x[2] * u8(0xCD9E8D57)
        x = [(q >> u8(32)) ^ x[1] ^ u8(k0), q & u8(_LOW), (p >> u8(32)) ^ x[3] ^ u8(k1), p & u8(_LOW)]
        k0, k1 = (k0 + 0x9E3779B9) & _LOW, (k1 + 0xBB67AE85) & _LOW
    return np.stack(x, axis=1).astype(u4)


def stream_key(*, kind: str, seed: int, stream: int, element_bits: int) -> tuple[int, int]:
    """The two 32-bit key words of a stream; `element_bits` is 32 or 64."""
    words = [stream & _LOW, stream >> 32, KINDS[kind] | element_bits << 16, STREAM_VERSION]
    k = philox4x32(np.array([words], dtype=u4), (seed & _LOW, seed >> 32))[0]
    return int(k[0]), int(k[1])


def blocks(first: int, count: int, row: int, key: tuple[int, int]) -> Array:
    """Blocks first .. first + count - 1 of a row: count x 4 x 16 words."""
    low = u8(first * _LANES) + np.arange(count * _LANES, dtype=u8)
    counter = np.empty((low.size, 4), dtype=u4)
    counter[:, 0], counter[:, 1] = low & u8(_LOW), low >> u8(32)
    counter[:, 2], counter[:, 3] = row & _LOW, row >> 32
    return philox4x32(counter, key).reshape(count, _LANES, 4).transpose(0, 2, 1)


def _horner(coefficients: list[str], x: Array) -> Array:
    t = x.dtype.type
    y = np.full_like(x, t(float.fromhex(coefficients[0])))
    for c in coefficients[1:]:
        y = y * x + t(float.fromhex(c))
    return y


_RADIUS_F4 = [
    "-0x1.645ecap-3", "0x1.2432bcp-2", "-0x1.317454p-2", "0x1.53824ap-2",
    "-0x1.98d7f2p-2", "0x1.000382p-1", "-0x1.5556d8p-1",
]  # fmt: skip
_SINE_F4 = ["-0x1.9943e2p-13", "0x1.11073ap-7", "-0x1.555546p-3"]
_COSINE_F4 = ["0x1.99eb9cp-16", "-0x1.6c0c34p-10", "0x1.55554ap-5"]
_RADIUS_F8 = [
    "0x1.2f0632cb74c93p-2", "0x1.39a1a71ff0a49p-2", "0x1.74663fa0bb0f1p-2", "0x1.c71c52060dda4p-2",
    "0x1.24924941f4f5fp-1", "0x1.999999997fd77p-1", "0x1.5555555555592p+0",
]  # fmt: skip
_SINE_F8 = [
    "0x1.5d8fd20b993ecp-33", "-0x1.ae5e5a92c9522p-26", "0x1.71de3567d4d89p-19",
    "-0x1.a01a019bfdf09p-13", "0x1.111111110f7dp-7", "-0x1.5555555555548p-3",
]  # fmt: skip
_COSINE_F8 = [
    "-0x1.8fa49a0746f26p-37", "0x1.1ee9d7b4dd5b2p-29", "-0x1.27e4f7eac4a99p-22",
    "0x1.a01a019c844f2p-16", "-0x1.6c16c16c14f91p-10", "0x1.555555555554bp-5",
]  # fmt: skip


def gaussian_radius_f32(word: Array) -> Array:
    """sqrt(-2 log u) in float32, u of the upper 31 bits of the word."""
    u = (word >> u4(1)).astype(i4).astype(f4) * f4(2.0**-31) + f4(2.0**-32)
    root_half = i4(0x3F3504F3)
    t = u.view(i4) - root_half
    e = (t >> i4(23)).astype(f4)
    x = ((t & i4(0x7FFFFF)) + root_half).view(f4) - f4(1)
    z = x * x
    y = (_horner(_RADIUS_F4, x) * x) * z
    y = y + e * f4(float.fromhex("-0x1.7f7d1cp-19"))
    y = (y + z) - (x + x)
    y = y + e * f4(float.fromhex("-0x1.62e4p+0"))
    return np.asarray(np.sqrt(y))


def gaussian_angle_f32(word: Array) -> tuple[Array, Array]:
    """Cosine and sine of 2 pi word / 2^32 in float32."""
    q = (word + u4(0x20000000)) >> u4(30)
    x = (word - (q << u4(30))).view(i4).astype(f4) * f4(float.fromhex("0x1.921fb6p-30"))
    z = x * x
    s = (_horner(_SINE_F4, z) * z) * x + x
    c = ((_horner(_COSINE_F4, z) * z) * z - f4(0.5) * z) + f4(1)
    return _turn(c, s, q)


def gaussian_radius_f64(high: Array, low: Array) -> Array:
    """sqrt(-2 log u) in float64, u of 53 bits."""
    u = (high >> u4(5)).astype(f8) * 2.0**-27 + ((low >> u4(6)).astype(f8) + 1) * 2.0**-53
    root_half = i8(0x3FE6A09E667F3BCD)
    t = u.view(i8) - root_half
    e = (t >> i8(52)).astype(f8)
    f = ((t & i8(0xFFFFFFFFFFFFF)) + root_half).view(f8) - 1.0
    s = f / (2.0 + f)
    z, ff = s * s, f * f
    r = _horner(_RADIUS_F8, z)
    rest = (ff - (s * (ff + r * z) + e * float.fromhex("0x1.ef35793c76730p-44"))) - (f + f)
    return np.asarray(np.sqrt(rest + e * float.fromhex("-0x1.62e42fefa38p+0")))


def gaussian_angle_f64(high: Array, low: Array) -> tuple[Array, Array]:
    """Cosine and sine of 2 pi (high + (low >> 11) 2^-21) / 2^32 in float64."""
    q = (high + u4(0x20000000)) >> u4(30)
    r = (high - (q << u4(30))).view(i4).astype(f8) + (low >> u4(11)).astype(f8) * 2.0**-21
    x = r * float.fromhex("0x1.921fb54442d18p-30")
    z = x * x
    s = (_horner(_SINE_F8, z) * z) * x + x
    c = _horner(_COSINE_F8, z)
    half = 0.5 * z
    w = 1.0 - half
    c = w + (((1.0 - w) - half) + (c * z) * z)
    return _turn(c, s, q)


def _turn(c: Array, s: Array, q: Array) -> tuple[Array, Array]:
    """Cosine and sine q quarter turns on; negation flips the sign bit, of zeros too."""
    odd = (q & u4(1)) != 0
    cosine, sine = np.where(odd, s, c), np.where(odd, c, s)
    return (
        np.where(((q + u4(1)) & u4(2)) != 0, -cosine, cosine),
        np.where((q & u4(2)) != 0, -sine, sine),
    )


def gaussian_f32(words: Array) -> Array:
    """Entries of blocks of words (count x 4 x 16), in column order."""
    out = np.empty(words.shape, dtype=f4)
    for pair in (0, 2):
        r = gaussian_radius_f32(words[:, pair])
        c, s = gaussian_angle_f32(words[:, pair + 1])
        out[:, pair], out[:, pair + 1] = r * c, r * s
    return out.reshape(-1)


def gaussian_f64(words: Array) -> Array:
    """Entries of blocks of words (count x 4 x 16), in column order."""
    out = np.empty((len(words), 2, _LANES), dtype=f8)
    r = gaussian_radius_f64(words[:, 0], words[:, 1])
    c, s = gaussian_angle_f64(words[:, 2], words[:, 3])
    out[:, 0], out[:, 1] = r * c, r * s
    return out.reshape(-1)


def _sign(words: Array, dtype: Any) -> Array:
    bits = (words.reshape(-1, 1) >> np.arange(32, dtype=u4)) & u4(1)
    return np.where(bits != 0, -1, 1).astype(dtype).reshape(-1)


def _row(row: int, start: int, count: int, key: tuple[int, int], *, kind: str, dtype: Any) -> Array:
    """Entries start .. start + count - 1 of a row, unscaled."""
    width = {"bits": 64, "gaussian": 64 if dtype == f4 else 32, "sign": 2048}[kind]
    first = start // width
    words = np.ascontiguousarray(blocks(first, (start + count - 1) // width - first + 1, row, key))
    if kind == "bits":
        entries = words.reshape(-1)
    elif kind == "sign":
        entries = _sign(words, dtype)
    else:
        entries = gaussian_f32(words) if dtype == f4 else gaussian_f64(words)
    return entries[start - first * width :][:count]


def random_words(out: Array, *, kind: str, seed: int, stream: int, row: int, start: int) -> Array:
    """Random words of one row of a 32-bit stream, in the column order of the float32 Gaussian."""
    key = stream_key(kind=kind, seed=seed, stream=stream, element_bits=32)
    if out.size:
        out[:] = _row(row, start, out.size, key, kind="bits", dtype=u4)
    return out


def fill_dense_map(
    out: Array,
    *,
    kind: str,
    seed: int,
    stream: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
) -> Array:
    """Write a block of a dense random map: out[i, j] = scale * entry(row_start + i, col_start + j)."""
    key = stream_key(kind=kind, seed=seed, stream=stream, element_bits=8 * out.dtype.itemsize)
    if out.size:
        for i in range(out.shape[0]):
            entries = _row(row_start + i, col_start, out.shape[1], key, kind=kind, dtype=out.dtype)
            out[i] = out.dtype.type(scale) * entries
    return out


def apply_dense_map(
    A: Array,
    out: Array,
    *,
    kind: str,
    seed: int,
    stream: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    adjoint: bool = False,
) -> Array:
    """Multiply a block S of a dense random map, or its transpose, into a matrix."""
    shape = (A.shape[0], out.shape[0]) if adjoint else (out.shape[0], A.shape[0])
    S = fill_dense_map(
        np.empty(shape, dtype=A.dtype),
        kind=kind,
        seed=seed,
        stream=stream,
        row_start=row_start,
        col_start=col_start,
        scale=scale,
    )
    out[...] = (S.T if adjoint else S) @ A
    return out
