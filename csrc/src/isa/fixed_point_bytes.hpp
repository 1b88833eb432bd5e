// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "fixed_point_pack.hpp"

// The product without dot-product instructions: pairs of bytes are summed in int16 where the
// processor does so, a sign s being (s + 1) / 2; elsewhere in plain loops.
namespace randnla::RANDNLA_ISA {
namespace {

inline void add_total(std::int32_t total, const float* up, float* sum) {
    *sum += (static_cast<float>(total) * up[0]) * up[32];
}

#if defined(__SSE4_1__)

constexpr int high_sign = 1, low_sign = 0;

#if defined(__AVX2__)
using Bytes = __m256i;
constexpr int width = 8;  // columns of a register
inline Bytes load(const void* p) {
    return _mm256_loadu_si256(static_cast<const Bytes*>(p));
}
inline void store(void* p, Bytes x) {
    _mm256_storeu_si256(static_cast<Bytes*>(p), x);
}
inline Bytes four_signs(const std::int8_t* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}
inline Bytes no_sums() {
    return _mm256_setzero_si256();
}
inline Bytes add_pairs(Bytes sum, Bytes unsigned_bytes, Bytes signed_bytes) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(unsigned_bytes, signed_bytes));
}
inline Bytes add_columns(Bytes totals, Bytes pairs) {
    return _mm256_add_epi32(totals, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#else
using Bytes = __m128i;
constexpr int width = 4;
inline Bytes load(const void* p) {
    return _mm_loadu_si128(static_cast<const Bytes*>(p));
}
inline void store(void* p, Bytes x) {
    _mm_storeu_si128(static_cast<Bytes*>(p), x);
}
inline Bytes four_signs(const std::int8_t* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, 4);
    return _mm_set1_epi32(four);
}
inline Bytes no_sums() {
    return _mm_setzero_si128();
}
inline Bytes add_pairs(Bytes sum, Bytes unsigned_bytes, Bytes signed_bytes) {
    return _mm_add_epi16(sum, _mm_maddubs_epi16(unsigned_bytes, signed_bytes));
}
inline Bytes add_columns(Bytes totals, Bytes pairs) {
    return _mm_add_epi32(totals, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}
#endif

// Sums of a step for R rows of signs and one register of columns, added to totals[row][slice]. An
// int16 holds 32 quads of pairs, each at most 256 in magnitude: a step has 16.
template <int R>
inline void add_step(const std::int8_t* signs, const std::int8_t* data,
                     std::int32_t (*totals)[3][width]) {
    Bytes pairs[R][3];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) pairs[r][0] = pairs[r][1] = pairs[r][2] = no_sums();
    for (int q = 0; q < 16; ++q, data += 64) {
        const Bytes x = load(data), y = load(data + tile_bytes), z = load(data + 2 * tile_bytes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            const Bytes s = four_signs(signs + 64 * r + 4 * q);
            pairs[r][0] = add_pairs(pairs[r][0], s, x);
            pairs[r][1] = add_pairs(pairs[r][1], s, y);
            pairs[r][2] = add_pairs(pairs[r][2], s, z);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
        for (int slice = 0; slice < 3; ++slice)
            store(totals[r][slice], add_columns(load(totals[r][slice]), pairs[r][slice]));
}

// Modulo 2^32: twice a sum may pass int32, twice it less the column's does not.
inline std::uint32_t joined(std::int32_t high, std::int32_t middle, std::int32_t low) {
    return static_cast<std::uint32_t>(high) * 65536U + static_cast<std::uint32_t>(middle) * 256U +
           static_cast<std::uint32_t>(low);
}

// One register of columns of one tile of data against all signs.
inline void column_group(const std::int8_t* signs, index_t tiles, const std::int8_t* data,
                         int steps, const float* up, float* sums, FetchAhead* ahead) {
    std::int8_t ones[64];
    for (std::int8_t& one : ones) one = 1;
    std::int32_t whole[1][3][width] = {};
    for (int k = 0; k < steps; ++k) add_step<1>(ones, data + k * packed_bytes, whole);
    std::uint32_t start[width];
    for (int c = 0; c < width; ++c)
        start[c] = joined(whole[0][0][c], whole[0][1][c], whole[0][2][c]);
    for (index_t i = 0; i < tiles; ++i, signs += steps * tile_bytes, sums += 512) {
        if (ahead != nullptr) fetch_ahead(*ahead);
        for (int r0 = 0; r0 < 16; r0 += 4) {
            std::int32_t totals[4][3][width] = {};
            for (int k = 0; k < steps; ++k)
                add_step<4>(signs + k * tile_bytes + 64 * r0, data + k * packed_bytes, totals);
            for (int r = 0; r < 4; ++r)
                for (int c = 0; c < width; ++c)
                    add_total(static_cast<std::int32_t>(
                                  2U * joined(totals[r][0][c], totals[r][1][c], totals[r][2][c]) -
                                  start[c]),
                              up + c, sums + 16 * (r0 + r) + c);
        }
    }
}

void byte_product(const std::int8_t* signs, index_t tiles, const std::int8_t* data, int steps,
                  const float* up, float* sums, FetchAhead& ahead) {
    for (int j = 0; j < 2; ++j)
        for (int c = 0; c < 16; c += width)
            column_group(signs, tiles, data + j * steps * packed_bytes + 4 * c, steps,
                         up + 16 * j + c, sums + 256 * j + c, j + c == 0 ? &ahead : nullptr);
}

#else

constexpr int high_sign = 1, low_sign = -1;

void byte_product(const std::int8_t* signs, index_t tiles, const std::int8_t* data, int steps,
                  const float* up, float* sums, FetchAhead& ahead) {
    for (index_t i = 0; i < tiles; ++i, signs += steps * tile_bytes) {
        fetch_ahead(ahead);
        for (int j = 0; j < 2; ++j, sums += 256)
            for (int r = 0; r < 16; ++r) {
                std::int32_t totals[16] = {};
                for (int k = 0; k < steps; ++k)
                    for (int quad = 0; quad < 16; ++quad) {
                        const std::int8_t* const s = signs + k * tile_bytes + 64 * r + 4 * quad;
                        const std::int8_t* const x =
                            data + (j * steps + k) * packed_bytes + 64 * quad;
                        for (int c = 0; c < 16; ++c)
                            for (int t = 0; t < 4; ++t) {
                                const int b = 4 * c + t;
                                totals[c] += s[t] * (x[b] * 65536 + x[tile_bytes + b] * 256 +
                                                     x[2 * tile_bytes + b]);
                            }
                    }
                for (int c = 0; c < 16; ++c)
                    add_total(totals[c], up + 16 * j + c, sums + 16 * r + c);
            }
    }
}

#endif

}  // namespace
}  // namespace randnla::RANDNLA_ISA
