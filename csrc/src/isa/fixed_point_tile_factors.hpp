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

// Rows [begin, end) of c += the sums of 16 by 16 products of levels, the highest first, in their
// weights.
inline void add_levels(const std::int32_t* levels, const double* left_weights,
                       const double* right_weights, int begin, int end, double* c) {
    const __m512d right[2] = {_mm512_loadu_pd(right_weights), _mm512_loadu_pd(right_weights + 8)};
    for (int i = begin; i < end; ++i) {
        // 256 times the second level and the third: below 2^31 (DevNotes.md).
        const __m512i upper = _mm512_load_si512(levels + 16 * i);
        const __m512i lower =
            _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(levels + 256 + 16 * i), 8),
                             _mm512_load_si512(levels + 512 + 16 * i));
        const __m256i parts[2][2] = {
            {_mm512_castsi512_si256(upper), _mm512_castsi512_si256(lower)},
            {_mm512_extracti64x4_epi64(upper, 1), _mm512_extracti64x4_epi64(lower, 1)}};
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
            double* const out = c + 16 * i + 8 * h;
            const __m512d sum =
                _mm512_add_pd(_mm512_mul_pd(_mm512_set1_pd(65536), _mm512_cvtepi32_pd(parts[h][0])),
                              _mm512_cvtepi32_pd(parts[h][1]));
            const __m512d weights = _mm512_mul_pd(_mm512_set1_pd(left_weights[i]), right[h]);
            _mm512_storeu_pd(out, _mm512_add_pd(_mm512_loadu_pd(out), _mm512_mul_pd(sum, weights)));
        }
    }
}

// The slice of the left factor in tile 6 times one of the right, which goes to tile 7.
#define RANDNLA_TILE_ADD_PRODUCT(sum, right)                  \
    do {                                                      \
        RANDNLA_TILE_LOAD(7, right);                          \
        asm volatile("tdpbssd %%tmm7, %%tmm6, %%tmm" #sum::); \
    } while (false)

// A step of two tiles of the right factor: their levels in tiles 0 to 2 and 3 to 5, in turns, as
// each sum waits for the one before it.
template <bool third>
inline void add_step_of_levels(const std::int8_t* left, const std::int8_t* x,
                               const std::int8_t* y) {
    RANDNLA_TILE_LOAD(6, left);
    RANDNLA_TILE_ADD_PRODUCT(1, x + tile_bytes);
    RANDNLA_TILE_ADD_PRODUCT(4, y + tile_bytes);
    if constexpr (third) {
        RANDNLA_TILE_ADD_PRODUCT(2, x + 2 * tile_bytes);
        RANDNLA_TILE_ADD_PRODUCT(5, y + 2 * tile_bytes);
    }
    RANDNLA_TILE_ADD_PRODUCT(0, x);
    RANDNLA_TILE_ADD_PRODUCT(3, y);
    RANDNLA_TILE_LOAD(6, left + tile_bytes);
    RANDNLA_TILE_ADD_PRODUCT(2, x + tile_bytes);
    RANDNLA_TILE_ADD_PRODUCT(5, y + tile_bytes);
    RANDNLA_TILE_ADD_PRODUCT(1, x);
    RANDNLA_TILE_ADD_PRODUCT(4, y);
    if constexpr (third) {
        RANDNLA_TILE_LOAD(6, left + 2 * tile_bytes);
        RANDNLA_TILE_ADD_PRODUCT(2, x);
        RANDNLA_TILE_ADD_PRODUCT(5, y);
    }
}

// What remains to be added of two tiles: the sums of one of two scratch areas.
struct PendingLevels {
    const std::int32_t* levels = nullptr;
    const double *left_weights, *right_weights;
    double* c;
    index_t tiles;

    void add(int begin, int end) const {
        if (levels == nullptr) return;
        for (index_t t = 0; t < tiles; ++t)
            add_levels(levels + 768 * t, left_weights, right_weights + 16 * t, begin, end,
                       c + 256 * t);
    }
};

template <bool third>
inline void multiply_factors(const std::int8_t* left, const std::int8_t* right, index_t tiles,
                             index_t spacing, int steps, const double* left_weights,
                             const double* right_weights, double* c) {
    alignas(64) std::int32_t scratch[2][6 * 256];
    PendingLevels before;
    asm volatile("ldtilecfg %0" ::"m"(tile_config) : "memory");
    for (index_t j = 0; j < tiles; j += 2) {
        // A last tile without another is multiplied twice, and added once.
        const std::int8_t *const x = right + j * spacing, *const y =
                                                              j + 1 < tiles ? x + spacing : x;
        RANDNLA_TILE_ZERO(0);
        RANDNLA_TILE_ZERO(1);
        RANDNLA_TILE_ZERO(2);
        RANDNLA_TILE_ZERO(3);
        RANDNLA_TILE_ZERO(4);
        RANDNLA_TILE_ZERO(5);
        for (int k = 0; k < steps; ++k) {
            const index_t at = k * packed_bytes;
            add_step_of_levels<third>(left + at, x + at, y + at);
            before.add(16 * k / steps, 16 * (k + 1) / steps);
        }
        std::int32_t* const levels = scratch[j / 2 % 2];
        RANDNLA_TILE_STORE(0, levels);
        RANDNLA_TILE_STORE(1, levels + 256);
        RANDNLA_TILE_STORE(2, levels + 512);
        RANDNLA_TILE_STORE(3, levels + 768);
        RANDNLA_TILE_STORE(4, levels + 1024);
        RANDNLA_TILE_STORE(5, levels + 1280);
        before = {levels, left_weights, right_weights + 16 * j, c + 256 * j,
                  j + 1 < tiles ? index_t{2} : index_t{1}};
    }
    before.add(0, 16);
    asm volatile("tilerelease" ::: "memory");
}

void tile_factors(const std::int8_t* left, const std::int8_t* right, index_t tiles, index_t spacing,
                  int steps, bool third, const double* left_weights, const double* right_weights,
                  double* c) {
    const auto multiply = third ? multiply_factors<true> : multiply_factors<false>;
    multiply(left, right, tiles, spacing, steps, left_weights, right_weights, c);
}

}  // namespace
}  // namespace randnla::v4
