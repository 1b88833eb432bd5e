// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "fixed_point_scales.hpp"

#if defined(__SSE4_1__)
#include <immintrin.h>
#else
#include <cmath>
#endif

// The integers of fixed-point operands as int32, where they are not cut into bytes at once.
namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__AVX512BW__)
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
typedef std::uint32_t Words __attribute__((vector_size(4 * lanes), may_alias));

constexpr index_t packed_ints = step_rows * 16;  // of a step of 16 columns, by rows

inline std::int32_t magnitude_bits(float x) {
    std::int32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return bits & 0x7FFFFFFF;
}

// out = the integers nearest to x, ties to even.
inline void round_run(const float* x, int count, std::int32_t* out) {
#if defined(__AVX512BW__)
    for (int i = 0; i < count; i += 16)
        _mm512_storeu_si512(out + i, _mm512_cvtps_epi32(_mm512_loadu_ps(x + i)));
#elif defined(__AVX2__)
    for (int i = 0; i < count; i += 8)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                            _mm256_cvtps_epi32(_mm256_loadu_ps(x + i)));
#elif defined(__SSE4_1__)
    for (int i = 0; i < count; i += 4)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_cvtps_epi32(_mm_loadu_ps(x + i)));
#else
    for (int i = 0; i < count; ++i)
        out[i] = std::fabs(x[i]) < 0x1p30F ? static_cast<std::int32_t>(std::nearbyint(x[i])) : 0;
#endif
}

// The integers of 16 columns, row by row: rows of 16 lie side by side in x.
void round_rows(const float* x, index_t row_stride, int steps, std::int32_t* out,
                std::int32_t* exponents, FetchAhead& ahead) {
    std::int32_t top[16] = {};
    for (index_t k = 0; k < step_rows * steps; ++k)
        for (int c = 0; c < 16; ++c) {
            const std::int32_t bits = magnitude_bits(x[k * row_stride + c]);
            top[c] = bits > top[c] ? bits : top[c];
        }
    set_exponents(top, exponents);
    Scales scales;
    scales.set(exponents);
    for (index_t k = 0; k < step_rows * steps; ++k, x += row_stride, out += 16) {
        if (k % 4 == 0) fetch_ahead(ahead, 1);
        float y[16];
        for (int c = 0; c < 16; ++c) y[c] = x[c] * scales.first[c] * scales.second[c];
        round_run(y, 16, out);
    }
}

// out[16 i + c] = in[step_rows c + i] for 16 columns of a step.
inline void transpose_step(const std::int32_t* in, std::int32_t* out) {
    for (int c = 0; c < 16; c += 4)
        for (int i = 0; i < step_rows; i += 4) {
            const std::int32_t* const from = in + step_rows * c + i;
            std::int32_t* const to = out + 16 * i + c;
#if defined(__SSE4_1__)
            __m128 r[4];
            for (int t = 0; t < 4; ++t)
                r[t] = _mm_castsi128_ps(
                    _mm_load_si128(reinterpret_cast<const __m128i*>(from + step_rows * t)));
            _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
            for (int t = 0; t < 4; ++t)
                _mm_store_si128(reinterpret_cast<__m128i*>(to + 16 * t), _mm_castps_si128(r[t]));
#else
            for (int t = 0; t < 4; ++t)
                for (int u = 0; u < 4; ++u) to[16 * t + u] = from[step_rows * u + t];
#endif
        }
}

// The same of at most 16 columns, each of which lies side by side in x; others are zeros.
void round_columns(const float* x, index_t col_stride, int columns, int steps, std::int32_t* out,
                   std::int32_t* exponents, FetchAhead& ahead) {
    std::int32_t top[16] = {};
    for (int c = 0; c < columns; ++c)
        for (index_t k = 0; k < step_rows * steps; ++k) {
            const std::int32_t bits = magnitude_bits(x[c * col_stride + k]);
            top[c] = bits > top[c] ? bits : top[c];
        }
    set_exponents(top, exponents);
    Scales scales;
    scales.set(exponents);
    alignas(64) std::int32_t rounded[packed_ints] = {};
    for (int k = 0; k < steps; ++k, out += packed_ints) {
        for (int c = 0; c < columns; ++c) {
            const float* const column = x + c * col_stride + step_rows * k;
            fetch_ahead(ahead, 1);
            float y[step_rows];
            for (int i = 0; i < step_rows; ++i)
                y[i] = column[i] * scales.first[c] * scales.second[c];
            round_run(y, step_rows, rounded + step_rows * c);
        }
        transpose_step(rounded, out);
    }
}

}  // namespace
}  // namespace randnla::RANDNLA_ISA
