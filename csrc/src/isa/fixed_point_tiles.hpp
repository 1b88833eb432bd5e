// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <immintrin.h>

#include "fixed_point_pack.hpp"
#include "fixed_point_tile_state.hpp"

// The product on AMX tiles.
namespace randnla::v4 {
namespace {

// sums += signs (tile 6) times data (tile 7), or the transposed product.
#define RANDNLA_TILE_MULTIPLY(t)                                \
    do {                                                        \
        if constexpr (across)                                   \
            asm volatile("tdpbssd %%tmm6, %%tmm7, %%tmm" #t::); \
        else                                                    \
            asm volatile("tdpbssd %%tmm7, %%tmm6, %%tmm" #t::); \
    } while (false)

constexpr index_t tile_ints = 256;

// Rows [begin, end) of both columns' tiles: their int32 sums of slices become float32 and are
// added.
template <bool across>
inline void add_tile_rows(const std::int32_t* t, const float* up, int begin, int end, float* sums) {
    for (int j = 0; j < 2; ++j, t += 3 * tile_ints, sums += tile_ints)
        for (int r = begin; r < end; ++r) {
            const __m512i high = _mm512_load_si512(t + 16 * r),
                          middle = _mm512_load_si512(t + tile_ints + 16 * r),
                          low = _mm512_load_si512(t + 2 * tile_ints + 16 * r);
            const __m512 first =
                across ? _mm512_set1_ps(up[16 * j + r]) : _mm512_loadu_ps(up + 16 * j);
            const __m512 second =
                across ? _mm512_set1_ps(up[32 + 16 * j + r]) : _mm512_loadu_ps(up + 32 + 16 * j);
            add_sums(high, middle, low, first, second, sums + 16 * r);
        }
}

// Two scratch areas: the sums of one tile are added while the next one is multiplied.
template <bool across>
void tile_product(const std::int8_t* signs, index_t tiles, const std::int8_t* data, int /*columns*/,
                  int steps, const float* up, float* sums, FetchAhead& ahead) {
    alignas(64) std::int32_t scratch[2][6 * tile_ints];
    asm volatile("ldtilecfg %0" ::"m"(tile_config) : "memory");
    const std::int8_t* const second = data + steps * packed_bytes;
    const std::int32_t* before = nullptr;
    for (index_t i = 0; i < tiles; ++i) {
        fetch_ahead(ahead);
        RANDNLA_TILE_ZERO(0);
        RANDNLA_TILE_ZERO(1);
        RANDNLA_TILE_ZERO(2);
        RANDNLA_TILE_ZERO(3);
        RANDNLA_TILE_ZERO(4);
        RANDNLA_TILE_ZERO(5);
        for (int k = 0; k < steps; ++k, signs += tile_bytes) {
            const std::int8_t* const x = data + k * packed_bytes;
            const std::int8_t* const y = second + k * packed_bytes;
            RANDNLA_TILE_LOAD(6, signs);
            RANDNLA_TILE_LOAD(7, x);
            RANDNLA_TILE_MULTIPLY(0);
            RANDNLA_TILE_LOAD(7, x + 1024);
            RANDNLA_TILE_MULTIPLY(1);
            RANDNLA_TILE_LOAD(7, x + 2048);
            RANDNLA_TILE_MULTIPLY(2);
            RANDNLA_TILE_LOAD(7, y);
            RANDNLA_TILE_MULTIPLY(3);
            RANDNLA_TILE_LOAD(7, y + 1024);
            RANDNLA_TILE_MULTIPLY(4);
            RANDNLA_TILE_LOAD(7, y + 2048);
            RANDNLA_TILE_MULTIPLY(5);
            if (before != nullptr)
                add_tile_rows<across>(before, up, 16 * k / steps, 16 * (k + 1) / steps,
                                      sums - 2 * tile_ints);
        }
        std::int32_t* const t = scratch[i % 2];
        RANDNLA_TILE_STORE(0, t);
        RANDNLA_TILE_STORE(1, t + tile_ints);
        RANDNLA_TILE_STORE(2, t + 2 * tile_ints);
        RANDNLA_TILE_STORE(3, t + 3 * tile_ints);
        RANDNLA_TILE_STORE(4, t + 4 * tile_ints);
        RANDNLA_TILE_STORE(5, t + 5 * tile_ints);
        before = t;
        sums += 2 * tile_ints;
    }
    if (before != nullptr) add_tile_rows<across>(before, up, 0, 16, sums - 2 * tile_ints);
    asm volatile("tilerelease" ::: "memory");
}

}  // namespace
}  // namespace randnla::v4
