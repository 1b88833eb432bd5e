// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "fixed_point_pack.hpp"
#include "fixed_point_tile_state.hpp"

// Products of two matrices on AMX tiles: left factors are runs, right ones quads.
namespace randnla::v4 {
namespace {

inline void copy_tiles(const std::int8_t* from, int steps, std::int8_t* to) {
    __builtin_memcpy(to, from, static_cast<std::size_t>(steps * packed_bytes));
}

void pack_factor_rows(const float* x, index_t stride, int steps, std::int8_t* left,
                      std::int8_t* right, std::int32_t* exponents) {
    std::int8_t* const quads = right != nullptr ? right : left;
    FetchAhead none;
    pack_quads(x, stride, 1, steps, quads, exponents, none);
    if (left == nullptr) return;
    if (right != nullptr) copy_tiles(right, steps, left);
    transpose_tiles(left, index_t{3} * steps);
}

void pack_factor_columns(const float* x, index_t stride, int columns, int steps, std::int8_t* left,
                         std::int8_t* right, std::int32_t* exponents) {
    std::int8_t* const runs = left != nullptr ? left : right;
    FetchAhead none;
    pack_runs(x, stride, columns, steps, runs, exponents, none);
    if (right == nullptr) return;
    if (left != nullptr) copy_tiles(left, steps, right);
    transpose_tiles(right, index_t{3} * steps);
}

// c += the sums of 16 by 16 products of levels, the highest first, in their weights.
inline void add_levels(const std::int32_t* levels, const double* left_weights,
                       const double* right_weights, double* c) {
    for (int i = 0; i < 16; ++i) {
        // 256 times the second level and the third: below 2^31 (DevNotes.md).
        const __m512i upper = _mm512_load_si512(levels + 16 * i);
        const __m512i lower =
            _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(levels + 256 + 16 * i), 8),
                             _mm512_load_si512(levels + 512 + 16 * i));
        const __m256i parts[2][2] = {
            {_mm512_castsi512_si256(upper), _mm512_castsi512_si256(lower)},
            {_mm512_extracti64x4_epi64(upper, 1), _mm512_extracti64x4_epi64(lower, 1)}};
        for (int h = 0; h < 2; ++h) {
            double* const out = c + 16 * i + 8 * h;
            const __m512d sum =
                _mm512_add_pd(_mm512_mul_pd(_mm512_set1_pd(65536), _mm512_cvtepi32_pd(parts[h][0])),
                              _mm512_cvtepi32_pd(parts[h][1]));
            const __m512d weights = _mm512_mul_pd(_mm512_set1_pd(left_weights[i]),
                                                  _mm512_loadu_pd(right_weights + 8 * h));
            _mm512_storeu_pd(out, _mm512_add_pd(_mm512_loadu_pd(out), _mm512_mul_pd(sum, weights)));
        }
    }
}

#define RANDNLA_TILE_ADD_PRODUCT(sum, left, right) \
    asm volatile("tdpbssd %%tmm" #right ", %%tmm" #left ", %%tmm" #sum::)

// Levels in tiles 0 to 2, slices of the left factor in 3 to 5, one of the right in 6.
void tile_factors(const std::int8_t* left, const std::int8_t* right, int steps, bool third,
                  const double* left_weights, const double* right_weights, double* c) {
    alignas(64) std::int32_t levels[3 * 256];
    asm volatile("ldtilecfg %0" ::"m"(tile_config) : "memory");
    RANDNLA_TILE_ZERO(0);
    RANDNLA_TILE_ZERO(1);
    RANDNLA_TILE_ZERO(2);
    for (int k = 0; k < steps; ++k, left += packed_bytes, right += packed_bytes) {
        RANDNLA_TILE_LOAD(3, left);
        RANDNLA_TILE_LOAD(4, left + tile_bytes);
        RANDNLA_TILE_LOAD(6, right);
        RANDNLA_TILE_ADD_PRODUCT(0, 3, 6);
        RANDNLA_TILE_ADD_PRODUCT(1, 4, 6);
        if (third) {
            RANDNLA_TILE_LOAD(5, left + 2 * tile_bytes);
            RANDNLA_TILE_ADD_PRODUCT(2, 5, 6);
        }
        RANDNLA_TILE_LOAD(7, right + tile_bytes);
        RANDNLA_TILE_ADD_PRODUCT(1, 3, 7);
        RANDNLA_TILE_ADD_PRODUCT(2, 4, 7);
        if (third) {
            RANDNLA_TILE_LOAD(6, right + 2 * tile_bytes);
            RANDNLA_TILE_ADD_PRODUCT(2, 3, 6);
        }
    }
    RANDNLA_TILE_STORE(0, levels);
    RANDNLA_TILE_STORE(1, levels + 256);
    RANDNLA_TILE_STORE(2, levels + 512);
    asm volatile("tilerelease" ::: "memory");
    add_levels(levels, left_weights, right_weights, c);
}

}  // namespace
}  // namespace randnla::v4
