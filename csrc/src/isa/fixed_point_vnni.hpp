// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <immintrin.h>

#include "fixed_point_pack.hpp"

// The product by AVX512-VNNI, which multiplies unsigned bytes by signed ones: a sign s is s + 1,
// and sums begin with minus the sum of the column.
namespace randnla::v4 {
namespace {

inline __m512i dot(__m512i sum, __m512i unsigned_bytes, __m512i signed_bytes) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
    return sum;
}

// Eight rows of signs by 16 columns, three slices: 24 sums in registers.
inline void eight_rows(const std::int8_t* signs, const std::int8_t* data, int steps,
                       const __m512i* start, __m512 first, __m512 second, float* sums) {
    __m512i high[8], middle[8], low[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
        high[r] = start[0];
        middle[r] = start[1];
        low[r] = start[2];
    }
    for (int k = 0; k < steps; ++k, signs += tile_bytes, data += packed_bytes)
        for (int q = 0; q < 16; ++q) {
            const __m512i x = _mm512_load_si512(data + 64 * q),
                          y = _mm512_load_si512(data + 1024 + 64 * q),
                          z = _mm512_load_si512(data + 2048 + 64 * q);
#pragma GCC unroll 8
            for (int r = 0; r < 8; ++r) {
                std::int32_t four;
                __builtin_memcpy(&four, signs + 64 * r + 4 * q, 4);
                const __m512i s = _mm512_set1_epi32(four);
                high[r] = dot(high[r], s, x);
                middle[r] = dot(middle[r], s, y);
                low[r] = dot(low[r], s, z);
            }
        }
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r)
        add_sums<true>(high[r], middle[r], low[r], first, second, sums + 16 * r);
}

void byte_product(const std::int8_t* signs, index_t tiles, const std::int8_t* data, int columns,
                  int steps, const float* up, float* sums, FetchAhead& ahead) {
    const int halves = columns > 16 ? 2 : 1;
    __m512i start[2][3];
    const __m512i ones = _mm512_set1_epi8(1);
    for (int j = 0; j < halves; ++j)
        for (int slice = 0; slice < 3; ++slice) {
            __m512i sum = _mm512_setzero_si512();
            const std::int8_t* x = data + j * steps * packed_bytes + slice * tile_bytes;
            for (int k = 0; k < steps; ++k, x += packed_bytes)
                for (int q = 0; q < 16; ++q) sum = dot(sum, ones, _mm512_load_si512(x + 64 * q));
            start[j][slice] = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
        }
    for (index_t i = 0; i < tiles; ++i, signs += steps * tile_bytes) {
        for (int j = 0; j < halves; ++j) {
            fetch_ahead(ahead, fetch_units_of_step / 2 * steps);
            float* const half = sums + 512 * i + 256 * j;
            const __m512 first = _mm512_loadu_ps(up + 16 * j),
                         second = _mm512_loadu_ps(up + 32 + 16 * j);
            const std::int8_t* const x = data + j * steps * packed_bytes;
            eight_rows(signs, x, steps, start[j], first, second, half);
            eight_rows(signs + 512, x, steps, start[j], first, second, half + 128);
        }
    }
}

}  // namespace
}  // namespace randnla::v4
