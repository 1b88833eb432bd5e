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
// A step of one tile of signs and 16 columns of data, whose slices have a tile of sums each.
#define RANDNLA_TILE_STEP(high, middle, low, signs, data) \
    do {                                                  \
        RANDNLA_TILE_LOAD(6, signs);                      \
        RANDNLA_TILE_LOAD(7, data);                       \
        RANDNLA_TILE_MULTIPLY(high);                      \
        RANDNLA_TILE_LOAD(7, (data) + tile_bytes);        \
        RANDNLA_TILE_MULTIPLY(middle);                    \
        RANDNLA_TILE_LOAD(7, (data) + 2 * tile_bytes);    \
        RANDNLA_TILE_MULTIPLY(low);                       \
    } while (false)
#define RANDNLA_TILE_ZERO_SLICES(high, middle, low) \
    do {                                            \
        RANDNLA_TILE_ZERO(high);                    \
        RANDNLA_TILE_ZERO(middle);                  \
        RANDNLA_TILE_ZERO(low);                     \
    } while (false)
#define RANDNLA_TILE_STORE_SLICES(high, middle, low, to) \
    do {                                                 \
        RANDNLA_TILE_STORE(high, to);                    \
        RANDNLA_TILE_STORE(middle, (to) + tile_ints);    \
        RANDNLA_TILE_STORE(low, (to) + 2 * tile_ints);   \
    } while (false)

constexpr index_t tile_ints = 256;

// Rows [begin, end) of 16 columns: the int32 sums of slices become float32 and are added.
template <bool across, bool twice>
inline void add_tile_rows(const std::int32_t* t, const float* up, int begin, int end, float* sums) {
    const auto add = [&](int r) {
        const __m512 first = across ? _mm512_set1_ps(up[r]) : _mm512_loadu_ps(up),
                     second = across ? _mm512_set1_ps(up[32 + r]) : _mm512_loadu_ps(up + 32);
        add_sums<twice>(_mm512_load_si512(t + 16 * r), _mm512_load_si512(t + tile_ints + 16 * r),
                        _mm512_load_si512(t + 2 * tile_ints + 16 * r), first, second,
                        sums + 16 * r);
    };
    if (end - begin == 8) {
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) add(begin + r);
    } else {
        for (int r = begin; r < end; ++r) add(r);
    }
}

// Tiles of signs times 16 columns and 16 more, one product after the other, each with three of the
// six tiles of sums: the first half of its steps alternates with the last half of the product
// before it, whose sums are stored and added while the others go on.
template <bool across, bool twice>
void multiply_tiles(const std::int8_t* signs, index_t tiles, const std::int8_t* data, int steps,
                    const float* up, float* sums, FetchAhead& next) {
    FetchAhead ahead = next;  // in registers
    alignas(64) std::int32_t scratch[2][3 * tile_ints];
    asm volatile("ldtilecfg %0" ::"m"(tile_config) : "memory");
    const int head = steps / 2, tail = steps - head;
    const std::int8_t *const second = data + steps * packed_bytes,
                             *const data_tail = data + head * packed_bytes,
                             *const second_tail = second + head * packed_bytes;
    RANDNLA_TILE_ZERO_SLICES(0, 1, 2);
    for (int k = 0; k < head; ++k)
        RANDNLA_TILE_STEP(0, 1, 2, signs + k * tile_bytes, data + k * packed_bytes);
    for (index_t i = 0; i < tiles; ++i, sums += 2 * tile_ints) {
        const std::int8_t* const signs_tail = signs + head * tile_bytes;
        RANDNLA_TILE_ZERO_SLICES(3, 4, 5);
        for (int k = 0; k < tail; ++k) {
            fetch_ahead(ahead, fetch_units_of_step);
            RANDNLA_TILE_STEP(0, 1, 2, signs_tail + k * tile_bytes, data_tail + k * packed_bytes);
            if (i > 0)
                add_tile_rows<across, twice>(scratch[1], up + 16, 16 * k / tail,
                                             16 * (k + 1) / tail, sums - tile_ints);
            if (k < head)
                RANDNLA_TILE_STEP(3, 4, 5, signs + k * tile_bytes, second + k * packed_bytes);
        }
        RANDNLA_TILE_STORE_SLICES(0, 1, 2, scratch[0]);
        if (i + 1 < tiles) signs += steps * tile_bytes;
        RANDNLA_TILE_ZERO_SLICES(0, 1, 2);
        for (int k = 0; k < tail; ++k) {
            fetch_ahead(ahead, fetch_units_of_step);
            RANDNLA_TILE_STEP(3, 4, 5, signs_tail + k * tile_bytes, second_tail + k * packed_bytes);
            add_tile_rows<across, twice>(scratch[0], up, 16 * k / tail, 16 * (k + 1) / tail, sums);
            if (k < head)
                RANDNLA_TILE_STEP(0, 1, 2, signs + k * tile_bytes, data + k * packed_bytes);
        }
        RANDNLA_TILE_STORE_SLICES(3, 4, 5, scratch[1]);
    }
    add_tile_rows<across, twice>(scratch[1], up + 16, 0, 16, sums - tile_ints);
    next = ahead;
    asm volatile("tilerelease" ::: "memory");
}

template <bool across>
void tile_product(const std::int8_t* signs, index_t tiles, const std::int8_t* data, int /*columns*/,
                  int steps, const float* up, float* sums, FetchAhead& ahead) {
    bool twice = false;
    for (int c = 0; c < 32; ++c) twice |= up[32 + c] != 1;
    const auto multiply = twice ? multiply_tiles<across, true> : multiply_tiles<across, false>;
    multiply(signs, tiles, data, steps, up, sums, ahead);
}

}  // namespace
}  // namespace randnla::v4
