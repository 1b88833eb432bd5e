// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/fixed_point.hpp"

#if defined(__SSE4_1__)
#include <immintrin.h>
#else
#include <cmath>
#endif

// Operands of fixed-point products: signs and slices as bytes, for the files of this folder only.
namespace randnla::RANDNLA_ISA {
namespace {

using fixed_point::packed_bytes;
using fixed_point::step_rows;
using fixed_point::tile_bytes;

inline void fetch_ahead(FetchAhead& ahead) {
    for (index_t n = 0; n < ahead.share && ahead.run < ahead.runs; ++n) {
        __builtin_prefetch(ahead.data + 16 * ahead.line, 0, 2);
        if (++ahead.line == ahead.lines) {
            ahead.line = 0;
            ++ahead.run;
            ahead.data += ahead.stride;
        }
    }
}

inline float float_of_bits(std::int32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
}

// What 16 columns are multiplied by. The largest magnitude of a column times it is below
// 0x7F7F7F + 1/2, the largest that three balanced bytes hold; `top` are its bits as an integer.
// The factor's exponent passes that of float32 for columns below 2^-105: hence two of them.
struct Scales {
    alignas(64) float first[16], second[16];
    bool tiny = false;

    void set(const std::int32_t* top, std::int32_t* exponents) {
        for (int c = 0; c < 16; ++c) {
            std::int32_t e =
                static_cast<std::int32_t>((static_cast<std::uint32_t>(top[c]) + 0x10101U) >> 23);
            e = e < 1 ? 1 : e;
            const std::int32_t wanted = 2 * 127 + fixed_point::fraction_bits - e,
                               held = wanted < 254 ? wanted : 254;
            first[c] = float_of_bits(held << 23);
            second[c] = float_of_bits((wanted - held + 127) << 23);
            tiny = tiny || wanted > held;
            exponents[c] = top[c] >= 0x7F800000 ? fixed_point::not_finite : e - 127;
        }
    }
};

// Bits 4 t of the result are the lowest 16 bits of x.
inline std::uint64_t spread(std::uint32_t x) {
#if defined(__BMI2__)
    return _pdep_u64(x & 0xFFFFU, 0x1111111111111111U);
#else
    std::uint64_t y = x & 0xFFFFU;
    y = (y | y << 24) & 0x000000FF000000FFU;
    y = (y | y << 12) & 0x000F000F000F000FU;
    y = (y | y << 6) & 0x0303030303030303U;
    return (y | y << 3) & 0x1111111111111111U;
#endif
}

// 64 bytes, `low` where a bit is set and `high` elsewhere.
template <int high, int low>
inline void expand_bits(std::uint64_t bits, std::int8_t* out) {
#if defined(__AVX512BW__)
    _mm512_store_si512(out,
                       _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(high), _mm512_set1_epi8(low)));
#elif defined(__SSE4_1__)
    const __m128i places = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201U)),
                  bytes = _mm_set_epi8(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    for (int part = 0; part < 4; ++part, bits >>= 16, out += 16) {
        const __m128i word =
            _mm_shuffle_epi8(_mm_cvtsi32_si128(static_cast<int>(bits & 0xFFFFU)), bytes);
        const __m128i set = _mm_cmpeq_epi8(_mm_and_si128(word, places), places);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                         _mm_blendv_epi8(_mm_set1_epi8(high), _mm_set1_epi8(low), set));
    }
#else
    for (int t = 0; t < 64; ++t) out[t] = (bits >> t & 1U) != 0 ? low : high;
#endif
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

#if defined(__AVX512BW__)

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

void pack_runs(const float* x, index_t col_stride, int steps, std::int8_t* out,
               std::int32_t* exponents) {
    alignas(64) std::int32_t top[16];
    for (int c = 0; c < 16; ++c) {
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
        for (int c = 0; c < 16; ++c) {
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

// sums += the integers that the slices' sums make, in their column's unit.
inline void add_sums(__m512i high, __m512i middle, __m512i low, __m512 first, __m512 second,
                     float* sums) {
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(high, 8), middle);
    const __m512i total = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), low);
    const __m512 term = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(total), first), second);
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), term));
}

#else

// out = the integers nearest to x, ties to even.
inline void round_run(const float* x, int count, std::int32_t* out) {
#if defined(__SSE4_1__)
    for (int i = 0; i < count; i += 4)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_cvtps_epi32(_mm_loadu_ps(x + i)));
#else
    for (int i = 0; i < count; ++i)
        out[i] = std::fabs(x[i]) < 0x1p30F ? static_cast<std::int32_t>(std::nearbyint(x[i])) : 0;
#endif
}

inline std::int32_t magnitude_bits(float x) {
    std::int32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return bits & 0x7FFFFFFF;
}

inline std::uint32_t balanced(std::int32_t q) {
    return (static_cast<std::uint32_t>(q) + 0x808080U) ^ 0x808080U;
}

void pack_quads(const float* x, index_t row_stride, int steps, std::int8_t* out,
                std::int32_t* exponents) {
    std::int32_t top[16] = {};
    for (index_t k = 0; k < step_rows * steps; ++k)
        for (int c = 0; c < 16; ++c) {
            const std::int32_t bits = magnitude_bits(x[k * row_stride + c]);
            top[c] = bits > top[c] ? bits : top[c];
        }
    Scales scales;
    scales.set(top, exponents);
    for (int k = 0; k < steps; ++k, out += packed_bytes)
        for (int quad = 0; quad < 16; ++quad) {
            std::uint32_t low[16] = {}, middle[16] = {}, high[16] = {};
            for (int r = 0; r < 4; ++r, x += row_stride) {
                float y[16];
                std::int32_t q[16];
                for (int c = 0; c < 16; ++c) y[c] = x[c] * scales.first[c] * scales.second[c];
                round_run(y, 16, q);
                for (int c = 0; c < 16; ++c) {
                    const std::uint32_t b = balanced(q[c]);
                    low[c] |= (b & 0xFFU) << 8 * r;
                    middle[c] |= (b >> 8 & 0xFFU) << 8 * r;
                    high[c] |= (b >> 16 & 0xFFU) << 8 * r;
                }
            }
            __builtin_memcpy(out + 64 * quad, high, 64);
            __builtin_memcpy(out + tile_bytes + 64 * quad, middle, 64);
            __builtin_memcpy(out + 2 * tile_bytes + 64 * quad, low, 64);
        }
}

void pack_runs(const float* x, index_t col_stride, int steps, std::int8_t* out,
               std::int32_t* exponents) {
    std::int32_t top[16] = {};
    for (int c = 0; c < 16; ++c)
        for (index_t k = 0; k < step_rows * steps; ++k) {
            const std::int32_t bits = magnitude_bits(x[c * col_stride + k]);
            top[c] = bits > top[c] ? bits : top[c];
        }
    Scales scales;
    scales.set(top, exponents);
    for (int k = 0; k < steps; ++k, out += packed_bytes)
        for (int c = 0; c < 16; ++c) {
            const float* const column = x + c * col_stride + step_rows * k;
            float y[step_rows];
            std::int32_t q[step_rows];
            for (int i = 0; i < step_rows; ++i)
                y[i] = column[i] * scales.first[c] * scales.second[c];
            round_run(y, step_rows, q);
            for (int i = 0; i < step_rows; ++i) {
                const std::uint32_t b = balanced(q[i]);
                out[64 * c + i] = static_cast<std::int8_t>(b >> 16);
                out[tile_bytes + 64 * c + i] = static_cast<std::int8_t>(b >> 8);
                out[2 * tile_bytes + 64 * c + i] = static_cast<std::int8_t>(b);
            }
        }
}

void transpose_tiles(std::int8_t* tiles, index_t count) {
    for (; count > 0; --count, tiles += tile_bytes) {
        std::int32_t from[256], to[256];
        __builtin_memcpy(from, tiles, sizeof from);
        for (int i = 0; i < 16; ++i)
            for (int j = 0; j < 16; ++j) to[16 * i + j] = from[16 * j + i];
        __builtin_memcpy(tiles, to, sizeof to);
    }
}

#endif

}  // namespace
}  // namespace randnla::RANDNLA_ISA
