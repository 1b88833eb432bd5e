// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <immintrin.h>

#include "fixed_point_scales.hpp"

// Operands of products of bytes by AVX-512: signs and slices, for the files of this folder only.
namespace randnla::v4 {
namespace {

// Tiles: "quads" are [step][row / 4][16 columns][4 rows], "runs" [step][16 columns][64 rows]; data
// have the three slices of a step one after the other, the highest first.
constexpr index_t tile_bytes = 1024;  // 16 columns of a step of one slice
constexpr index_t packed_bytes = 3 * tile_bytes;

// Bits 4 t of the result are the lowest 16 bits of x.
inline std::uint64_t spread(std::uint32_t x) {
    return _pdep_u64(x & 0xFFFFU, 0x1111111111111111U);
}

// 64 bytes, `low` where a bit is set and `high` elsewhere.
template <int high, int low>
inline void expand_bits(std::uint64_t bits, std::int8_t* out) {
    _mm512_store_si512(out,
                       _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(high), _mm512_set1_epi8(low)));
}

template <int high, int low>
void row_runs(const std::uint32_t* words, index_t stride, int steps, std::int8_t* out) {
    for (int k = 0; k < steps; ++k)
        for (int r = 0; r < 16; ++r, out += 64) {
            std::uint64_t bits;
            __builtin_memcpy(&bits, words + r * stride + 2 * k, 8);
            expand_bits<high, low>(bits, out);
        }
}

template <int high, int low>
void column_quads(const std::uint32_t* words, index_t stride, int shift, int steps,
                  std::int8_t* out) {
    for (int quad = 0; quad < 16 * steps; ++quad, words += 4 * stride, out += 64) {
        std::uint64_t bits = 0;
        for (int r = 0; r < 4; ++r) bits |= spread(words[r * stride] >> shift) << r;
        expand_bits<high, low>(bits, out);
    }
}

inline __m512i scaled_bytes(const float* x, __m512 first, __m512 second, bool tiny) {
    __m512 y = _mm512_mul_ps(_mm512_loadu_ps(x), first);
    if (tiny) y = _mm512_mul_ps(y, second);
    const __m512i middle = _mm512_set1_epi32(0x808080);
    return _mm512_xor_si512(_mm512_add_epi32(_mm512_cvtps_epi32(y), middle), middle);
}

// Slices of four registers of integers: lane l of slice s holds byte s of lane l of each.
struct Slices {
    __m512i high, middle, low;
};
inline Slices interleave(__m512i q0, __m512i q1, __m512i q2, __m512i q3) {
    constexpr __mmask64 odd = 0xAAAAAAAAAAAAAAAAU;
    constexpr __mmask32 odd_pair = 0xAAAAAAAAU;
    const __m512i a = _mm512_mask_blend_epi8(odd, q0, _mm512_slli_epi32(q1, 8)),
                  b = _mm512_mask_blend_epi8(odd, q2, _mm512_slli_epi32(q3, 8)),
                  c = _mm512_mask_blend_epi8(odd, _mm512_srli_epi32(q0, 8), q1),
                  d = _mm512_mask_blend_epi8(odd, _mm512_srli_epi32(q2, 8), q3);
    return {_mm512_mask_blend_epi16(odd_pair, _mm512_srli_epi32(a, 16), b),
            _mm512_mask_blend_epi16(odd_pair, c, _mm512_slli_epi32(d, 16)),
            _mm512_mask_blend_epi16(odd_pair, a, _mm512_slli_epi32(b, 16))};
}

inline __m512i magnitude_bits(const float* x) {
    return _mm512_and_si512(_mm512_set1_epi32(0x7FFFFFFF), _mm512_loadu_si512(x));
}

template <bool tiny>
inline void slice_quads(const float* x, index_t row_stride, int steps, const Scales& scales,
                        std::int8_t* out) {
    const __m512 first = _mm512_load_ps(scales.first), second = _mm512_load_ps(scales.second);
    for (int k = 0; k < steps; ++k, out += packed_bytes)
        for (int q = 0; q < 16; ++q, x += 4 * row_stride) {
            const Slices s = interleave(scaled_bytes(x, first, second, tiny),
                                        scaled_bytes(x + row_stride, first, second, tiny),
                                        scaled_bytes(x + 2 * row_stride, first, second, tiny),
                                        scaled_bytes(x + 3 * row_stride, first, second, tiny));
            _mm512_store_si512(out + 64 * q, s.high);
            _mm512_store_si512(out + tile_bytes + 64 * q, s.middle);
            _mm512_store_si512(out + 2 * tile_bytes + 64 * q, s.low);
        }
}

void pack_quads(const float* x, index_t row_stride, int steps, std::int8_t* out,
                std::int32_t* exponents) {
    __m512i even = _mm512_setzero_si512(), odd = even;
    for (index_t k = 0; k < step_rows * steps; k += 2) {
        even = _mm512_max_epi32(even, magnitude_bits(x + k * row_stride));
        odd = _mm512_max_epi32(odd, magnitude_bits(x + (k + 1) * row_stride));
    }
    alignas(64) std::int32_t top[16];
    _mm512_store_si512(top, _mm512_max_epi32(even, odd));
    Scales scales;
    scales.set(top, exponents);
    if (scales.tiny)
        slice_quads<true>(x, row_stride, steps, scales, out);
    else
        slice_quads<false>(x, row_stride, steps, scales, out);
}

void pack_runs(const float* x, index_t col_stride, int columns, int steps, std::int8_t* out,
               std::int32_t* exponents) {
    alignas(64) std::int32_t top[16] = {};
    for (int c = 0; c < columns; ++c) {
        const float* const column = x + c * col_stride;
        __m512i largest = magnitude_bits(column);
        for (int k = 1; k < 4 * steps; ++k)
            largest = _mm512_max_epi32(largest, magnitude_bits(column + 16 * k));
        top[c] = _mm512_reduce_max_epi32(largest);
    }
    Scales scales;
    scales.set(top, exponents);
    // Byte t of lane l is row 16 t + l: first the bytes of a quarter, then the quarters.
    const __m512i bytes =
        _mm512_broadcast_i32x4(_mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
    const __m512i lanes = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    for (int k = 0; k < steps; ++k, out += packed_bytes)
        for (int c = 0; c < columns; ++c) {
            const float* const column = x + c * col_stride + step_rows * k;
            const __m512 first = _mm512_set1_ps(scales.first[c]),
                         second = _mm512_set1_ps(scales.second[c]);
            const Slices s = interleave(scaled_bytes(column, first, second, scales.tiny),
                                        scaled_bytes(column + 16, first, second, scales.tiny),
                                        scaled_bytes(column + 32, first, second, scales.tiny),
                                        scaled_bytes(column + 48, first, second, scales.tiny));
            const __m512i parts[3] = {s.high, s.middle, s.low};
            for (int slice = 0; slice < 3; ++slice)
                _mm512_store_si512(
                    out + slice * tile_bytes + 64 * c,
                    _mm512_permutexvar_epi32(lanes, _mm512_shuffle_epi8(parts[slice], bytes)));
        }
}

// Quads of 16 rows: a lane a row, four bits at a time through a table of their bytes.
template <int high, int low>
void row_quads(const std::uint32_t* words, index_t stride, int steps, std::int8_t* out) {
    alignas(64) std::int8_t table[64];
    for (int t = 0; t < 64; ++t) table[t] = (t / 4 >> t % 4 & 1) != 0 ? low : high;
    const __m512i bytes = _mm512_load_si512(table);
    for (int w = 0; w < 2 * steps; ++w) {
        alignas(64) std::uint32_t gathered[16];
        for (int r = 0; r < 16; ++r) gathered[r] = words[r * stride + w];
        __m512i bits = _mm512_load_si512(gathered);
        for (int q = 0; q < 8; ++q, out += 64) {
            _mm512_store_si512(out, _mm512_permutexvar_epi32(bits, bytes));
            bits = _mm512_srli_epi32(bits, 4);
        }
    }
}

void transpose_tiles(std::int8_t* tiles, index_t count) {
    for (; count > 0; --count, tiles += tile_bytes) {
        __m512i r[16], t[16];
        for (int i = 0; i < 16; ++i) r[i] = _mm512_load_si512(tiles + 64 * i);
        for (int i = 0; i < 16; i += 2) {
            t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
            t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
        }
        for (int i = 0; i < 16; i += 4)
            for (int h = 0; h < 2; ++h) {
                r[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + 2 + h]);
                r[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + 2 + h]);
            }
        for (int i = 0; i < 4; ++i)
            for (int h = 0; h < 16; h += 8) {
                t[i + h] = _mm512_shuffle_i32x4(r[i + h], r[i + 4 + h], 0x88);
                t[i + 4 + h] = _mm512_shuffle_i32x4(r[i + h], r[i + 4 + h], 0xDD);
            }
        for (int i = 0; i < 8; ++i) {
            const int row = i % 4 + i / 4 * 4;
            _mm512_store_si512(tiles + 64 * row, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
            _mm512_store_si512(tiles + 64 * (row + 8), _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD));
        }
    }
}

inline void pack_columns_as_quads(const float* x, index_t col_stride, int columns, int steps,
                                  std::int8_t* out, std::int32_t* exponents) {
    pack_runs(x, col_stride, columns, steps, out, exponents);
    transpose_tiles(out, index_t{3} * steps);
}

template <int high, int low>
void column_runs(const std::uint32_t* words, index_t stride, int shift, int steps,
                 std::int8_t* out) {
    column_quads<high, low>(words, stride, shift, steps, out);
    transpose_tiles(out, steps);
}

// sums += the integers that the slices' sums make, in their column's unit.
inline void add_sums(__m512i high, __m512i middle, __m512i low, __m512 first, __m512 second,
                     float* sums) {
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(high, 8), middle);
    const __m512i total = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), low);
    const __m512 term = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(total), first), second);
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), term));
}

}  // namespace
}  // namespace randnla::v4
