// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "fixed_point_integers.hpp"

// The product by tables, where there are no dot products of bytes: four rows of data have sixteen
// sums with signs, and a row of signs takes one of them for each four. An addition from the first
// cache does the work of four fused multiply-adds. (Arlazarov, Dinic, Kronrod and Faradzev, 1970.)
namespace randnla::RANDNLA_ISA {
namespace {

constexpr int quads = step_rows / 4;
constexpr index_t packed_signs = 16 * 8;  // bytes of a step of 16 rows

void pack_rows(const float* x, index_t row_stride, int tiles, int steps, std::int8_t* out,
               std::int32_t* exponents, FetchAhead& ahead) {
    auto* const to = reinterpret_cast<std::int32_t*>(out);
    for (int j = 0; j < tiles; ++j)
        round_rows(x + 16 * j, row_stride, steps, to + j * steps * packed_ints, exponents + 16 * j,
                   ahead);
}

void pack_columns(const float* x, index_t col_stride, int columns, int steps, std::int8_t* out,
                  std::int32_t* exponents, FetchAhead& ahead) {
    round_columns(x, col_stride, columns, steps, reinterpret_cast<std::int32_t*>(out), exponents,
                  ahead);
}

// A row's bits of a step are its signs.
void row_signs(const std::uint32_t* words, index_t stride, int steps, std::int8_t* out) {
    for (int k = 0; k < steps; ++k, words += 2)
        for (int r = 0; r < 16; ++r, out += 8) __builtin_memcpy(out, words + r * stride, 8);
}

// Bit i of columns[c] is bit shift + c of words[i * stride], for 32 words and 16 columns.
inline void bit_columns(const std::uint32_t* words, index_t stride, int shift,
                        std::uint32_t* columns) {
#if defined(__SSE4_1__)
    alignas(16) std::uint8_t bytes[2][32];
    for (int i = 0; i < 32; ++i) {
        const std::uint32_t bits = words[i * stride] >> shift;
        bytes[0][i] = static_cast<std::uint8_t>(bits);
        bytes[1][i] = static_cast<std::uint8_t>(bits >> 8);
    }
    for (int b = 0; b < 2; ++b) {
        __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes[b])),
                high = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes[b] + 16));
        for (int c = 7; c >= 0; --c) {
            columns[8 * b + c] = static_cast<std::uint32_t>(_mm_movemask_epi8(low)) |
                                 static_cast<std::uint32_t>(_mm_movemask_epi8(high)) << 16;
            low = _mm_add_epi8(low, low);
            high = _mm_add_epi8(high, high);
        }
    }
#else
    for (int c = 0; c < 16; ++c) {
        columns[c] = 0;
        for (int i = 0; i < 32; ++i) columns[c] |= (words[i * stride] >> (shift + c) & 1U) << i;
    }
#endif
}

void column_signs(const std::uint32_t* words, index_t stride, int shift, int steps,
                  std::int8_t* out) {
    for (int k = 0; k < steps; ++k, words += step_rows * stride) {
        std::uint32_t columns[2][16];
        bit_columns(words, stride, shift, columns[0]);
        bit_columns(words + 32 * stride, stride, shift, columns[1]);
        for (int c = 0; c < 16; ++c, out += 8) {
            const std::uint32_t pair[2] = {columns[0][c], columns[1][c]};
            __builtin_memcpy(out, pair, 8);
        }
    }
}

inline std::uint64_t sign_bits(const std::int8_t* signs) {
    std::uint64_t bits;
    __builtin_memcpy(&bits, signs, 8);
    return bits;
}

// Sums of four rows with all signs, modulo 2^32: bit t of a sum's number tells row t's sign.
template <int groups>
inline void tabulate(const std::int32_t* rows, std::uint32_t* table) {
    for (int g = 0; g < groups; ++g) {
        Words x[4], sums[16];
        for (int t = 0; t < 4; ++t)
            x[t] = *reinterpret_cast<const Words*>(rows + 16 * t + lanes * g);
        sums[0] = (x[0] + x[1]) + (x[2] + x[3]);
        for (int t = 0; t < 4; ++t) x[t] += x[t];
        sums[1] = sums[0] - x[0];
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) sums[i + 2] = sums[i] - x[1];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) sums[i + 4] = sums[i] - x[2];
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) sums[i + 8] = sums[i] - x[3];
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
            *reinterpret_cast<Words*>(table + 16 * i + lanes * g) = sums[i];
    }
}

// totals = (first) or += the sums of a step, for tiles of signs that lie `stride` bytes apart.
template <int groups>
inline void add_step(const std::int8_t* signs, index_t stride, index_t tiles, bool first,
                     const std::int32_t* data, std::uint32_t* totals) {
    alignas(64) std::uint32_t table[quads * 256];
    for (int q = 0; q < quads; ++q) tabulate<groups>(data + 64 * q, table + 256 * q);
    for (index_t i = 0; i < tiles; ++i, signs += stride)
        for (int r = 0; r < 16; ++r, totals += 16) {
            const std::uint64_t bits = sign_bits(signs + 8 * r);
            auto* const total = reinterpret_cast<Words*>(totals);
            Words sum[groups];
            for (int g = 0; g < groups; ++g) sum[g] = first ? Words{} : total[g];
#pragma GCC unroll 16
            for (int q = 0; q < quads; ++q) {
                // Twice eight times the sum's number.
                const std::uint64_t number = (q == 0 ? bits << 3 : bits >> (4 * q - 3)) & 0x78U;
                const auto* const entry =
                    reinterpret_cast<const Words*>(table + 256 * q + 2 * number);
#pragma GCC unroll 4
                for (int g = 0; g < groups; ++g) sum[g] += entry[g];
            }
            for (int g = 0; g < groups; ++g) total[g] = sum[g];
        }
}

// All sums of eight entries, which lie 16 apart, with signs.
inline void tabulate_column(const std::int32_t* x, Words* sums) {
    std::uint32_t total = 0, twice[8];
    for (int t = 0; t < 8; ++t) {
        const auto entry = static_cast<std::uint32_t>(x[16 * t]);
        total += entry;
        twice[t] = 2 * entry;
    }
    constexpr int held = lanes == 16  ? 4
                         : lanes == 8 ? 3
                                      : 2;  // entries whose signs tell lanes apart
    for (int l = 0; l < lanes; ++l) {
        std::uint32_t sum = total;
        for (int t = 0; t < held; ++t) sum -= (l >> t & 1) != 0 ? twice[t] : 0U;
        sums[0][l] = sum;
    }
#pragma GCC unroll 6
    for (int t = held; t < 8; ++t) {
        const int half = 1 << (t - held);
        for (int i = 0; i < half; ++i) sums[half + i] = sums[i] - twice[t];
    }
}

// One column: its tables have the sums of eight rows.
inline void add_step_of_column(const std::int8_t* signs, index_t stride, index_t tiles, bool first,
                               const std::int32_t* data, std::uint32_t* totals) {
    alignas(64) std::uint32_t table[8][256];
    for (int b = 0; b < 8; ++b) tabulate_column(data + 128 * b, reinterpret_cast<Words*>(table[b]));
    for (index_t i = 0; i < tiles; ++i, signs += stride)
        for (int r = 0; r < 16; ++r, totals += 16) {
            const std::uint64_t bits = sign_bits(signs + 8 * r);
            std::uint32_t sum = first ? 0 : *totals;
#pragma GCC unroll 8
            for (int b = 0; b < 8; ++b) sum += table[b][bits >> 8 * b & 0xFFU];
            *totals = sum;
        }
}

// One tile of data against all tiles of signs, sixteen totals a row.
inline void table_columns(const std::int8_t* signs, index_t tiles, const std::int32_t* data,
                          int columns, int steps, const float* up, std::uint32_t* totals,
                          float* sums) {
    constexpr int half = lanes < 8 ? 8 / lanes : 1;  // vectors of eight columns
    const auto add = columns == 1   ? add_step_of_column
                     : columns <= 8 ? add_step<half>
                                    : add_step<16 / lanes>;
    for (int k = 0; k < steps; ++k)
        add(signs + k * packed_signs, steps * packed_signs, tiles, k == 0, data + k * packed_ints,
            totals);
    const int counted = columns == 1 ? 1 : columns <= 8 ? 8 : 16;
    for (index_t i = 0; i < tiles; ++i, sums += 256)
        for (int r = 0; r < 16; ++r, totals += 16, sums += 16)
            for (int c = 0; c < counted; ++c)
                sums[c] +=
                    (static_cast<float>(static_cast<std::int32_t>(totals[c])) * up[c]) * up[32 + c];
}

constexpr index_t most_tiles = 72;

void table_product(const std::int8_t* signs, index_t tiles, const std::int8_t* data, int columns,
                   int steps, const float* up, float* sums, FetchAhead& ahead) {
    alignas(64) std::uint32_t totals[256 * most_tiles];
    const auto* const x = reinterpret_cast<const std::int32_t*>(data);
    for (; tiles > 0; tiles -= most_tiles) {
        const index_t now = tiles < most_tiles ? tiles : most_tiles;
        for (int j = 0; 16 * j < columns; ++j) {
            for (index_t i = 0; j == 0 && i < now; ++i)
                fetch_ahead(ahead, fetch_units_of_step * steps);
            table_columns(signs, now, x + j * steps * packed_ints, columns - 16 * j, steps,
                          up + 16 * j, totals, sums + 256 * j);
        }
        signs += now * steps * packed_signs;
        sums += 512 * now;
    }
}

}  // namespace
}  // namespace randnla::RANDNLA_ISA
