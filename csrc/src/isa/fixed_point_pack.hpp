// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <immintrin.h>

#include "fixed_point_scales.hpp"

// Operands of products of bytes on AMX tiles: signs and slices, by AVX-512.
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

// 64 bytes, -1 where a bit is set and 1 elsewhere.
inline void expand_bits(std::uint64_t bits, std::int8_t* out) {
    _mm512_store_si512(out,
                       _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(1), _mm512_set1_epi8(-1)));
}

inline void row_runs(const std::uint32_t* words, index_t stride, int steps, std::int8_t* out) {
    for (int k = 0; k < steps; ++k)
        for (int r = 0; r < 16; ++r, out += 64) {
            std::uint64_t bits;
            __builtin_memcpy(&bits, words + r * stride + 2 * k, 8);
            expand_bits(bits, out);
        }
}

inline void column_quads(const std::uint32_t* words, index_t stride, int shift, int steps,
                         std::int8_t* out) {
    for (int quad = 0; quad < 16 * steps; ++quad, words += 4 * stride, out += 64) {
        std::uint64_t bits = 0;
        for (int r = 0; r < 4; ++r) bits |= spread(words[r * stride] >> shift) << r;
        expand_bits(bits, out);
    }
}

// The bytes of 16 integers; top receives the larger magnitudes, as bits.
inline __m512i scaled_bytes(const float* x, __m512 first, __m512 second, bool tiny, __m512i& top) {
    const __m512 entries = _mm512_loadu_ps(x);
    top = _mm512_max_epi32(
        top, _mm512_and_si512(_mm512_castps_si512(entries), _mm512_set1_epi32(0x7FFFFFFF)));
    __m512 y = _mm512_mul_ps(entries, first);
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

// tops receives the largest magnitudes of each column, as bits.
template <int tiles, bool tiny>
void slice_quads(const float* x, index_t row_stride, int steps, const Scales* scales,
                 std::int8_t* out, std::int32_t* tops, FetchAhead& next) {
    FetchAhead ahead = next;  // in registers
    __m512i top[tiles];
    for (int j = 0; j < tiles; ++j) top[j] = _mm512_setzero_si512();
    for (int k = 0; k < steps; ++k, out += packed_bytes)
        for (int q = 0; q < 16; ++q, x += 4 * row_stride) {
            fetch_ahead(ahead, tiles);
#pragma GCC unroll 2
            for (int j = 0; j < tiles; ++j) {
                const float* const y = x + 16 * j;
                const __m512 first = _mm512_load_ps(scales[j].first),
                             second = _mm512_load_ps(scales[j].second);
                const Slices s =
                    interleave(scaled_bytes(y, first, second, tiny, top[j]),
                               scaled_bytes(y + row_stride, first, second, tiny, top[j]),
                               scaled_bytes(y + 2 * row_stride, first, second, tiny, top[j]),
                               scaled_bytes(y + 3 * row_stride, first, second, tiny, top[j]));
                std::int8_t* const to = out + j * steps * packed_bytes + 64 * q;
                _mm512_store_si512(to, s.high);
                _mm512_store_si512(to + tile_bytes, s.middle);
                _mm512_store_si512(to + 2 * tile_bytes, s.low);
            }
        }
    for (int j = 0; j < tiles; ++j) _mm512_store_si512(tops + 16 * j, top[j]);
    next = ahead;
}

template <int tiles>
inline void pack_tiles(const float* x, index_t row_stride, int steps, std::int8_t* out,
                       std::int32_t* exponents, FetchAhead& ahead) {
    alignas(64) std::int32_t tops[16 * tiles];
    bool changed = true;
    while (changed) {
        Scales scales[tiles];
        bool tiny = changed = false;
        for (int j = 0; j < tiles; ++j) {
            scales[j].set(exponents + 16 * j);
            tiny |= scales[j].tiny;
        }
        const auto slice = tiny ? slice_quads<tiles, true> : slice_quads<tiles, false>;
        slice(x, row_stride, steps, scales, out, tops, ahead);
        for (int j = 0; j < tiles; ++j) changed |= set_exponents(tops + 16 * j, exponents + 16 * j);
    }
}

void pack_quads(const float* x, index_t row_stride, int tiles, int steps, std::int8_t* out,
                std::int32_t* exponents, FetchAhead& ahead) {
    const auto pack = tiles == 2 ? pack_tiles<2> : pack_tiles<1>;
    pack(x, row_stride, steps, out, exponents, ahead);
}

void pack_runs(const float* x, index_t col_stride, int columns, int steps, std::int8_t* out,
               std::int32_t* exponents, FetchAhead& next) {
    FetchAhead ahead = next;  // in registers
    // Byte t of lane l is row 16 t + l: first the bytes of a quarter, then the quarters.
    const __m512i bytes =
        _mm512_broadcast_i32x4(_mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
    const __m512i lanes = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    alignas(64) std::int32_t top[16] = {};
    do {
        Scales scales;
        scales.set(exponents);
        for (int c = 0; c < columns; ++c) {
            const float* column = x + c * col_stride;
            const __m512 first = _mm512_set1_ps(scales.first[c]),
                         second = _mm512_set1_ps(scales.second[c]);
            __m512i largest[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
            for (int k = 0; k < steps; ++k, column += step_rows) {
                fetch_ahead(ahead, 1);
                const Slices s =
                    interleave(scaled_bytes(column, first, second, scales.tiny, largest[0]),
                               scaled_bytes(column + 16, first, second, scales.tiny, largest[1]),
                               scaled_bytes(column + 32, first, second, scales.tiny, largest[0]),
                               scaled_bytes(column + 48, first, second, scales.tiny, largest[1]));
                const __m512i parts[3] = {s.high, s.middle, s.low};
                for (int slice = 0; slice < 3; ++slice)
                    _mm512_store_si512(
                        out + k * packed_bytes + slice * tile_bytes + 64 * c,
                        _mm512_permutexvar_epi32(lanes, _mm512_shuffle_epi8(parts[slice], bytes)));
            }
            top[c] = _mm512_reduce_max_epi32(_mm512_max_epi32(largest[0], largest[1]));
        }
    } while (set_exponents(top, exponents));
    next = ahead;
}

// Quads of 16 rows: a lane a row, four bits at a time through a table of their bytes.
inline void row_quads(const std::uint32_t* words, index_t stride, int steps, std::int8_t* out) {
    alignas(64) std::int8_t table[64];
    for (int t = 0; t < 64; ++t) table[t] = (t / 4 >> t % 4 & 1) != 0 ? -1 : 1;
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

inline void column_runs(const std::uint32_t* words, index_t stride, int shift, int steps,
                        std::int8_t* out) {
    column_quads(words, stride, shift, steps, out);
    transpose_tiles(out, steps);
}

// sums += the integers that the slices' sums make, in their column's unit.
template <bool twice>
inline void add_sums(__m512i high, __m512i middle, __m512i low, __m512 first, __m512 second,
                     float* sums) {
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(high, 8), middle);
    const __m512i total = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), low);
    __m512 term = _mm512_mul_ps(_mm512_cvtepi32_ps(total), first);
    if constexpr (twice) term = _mm512_mul_ps(term, second);
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), term));
}

}  // namespace
}  // namespace randnla::v4
