// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "fixed_point_integers.hpp"

// Products of two matrices of integers by sums of pairs of int16 (vpmaddwd). q = 256 p + s2, where
// p = 256 s0 + s1 fits into an int16: the products of the upper bytes are p p', pairs of which fit
// into an int32.
namespace randnla::RANDNLA_ISA {
namespace {

typedef std::int32_t Integers __attribute__((vector_size(4 * lanes), may_alias));

constexpr index_t row_pairs = step_rows / 2;
// A step of 16 columns: p of two rows each, then s0 and s2 (right: s2 and s0) of each row.
constexpr index_t pair_ints = 16 * (row_pairs + step_rows);

inline Words multiply_pairs(Words x, Words y) {
#if defined(__AVX2__)
    return reinterpret_cast<Words>(
        _mm256_madd_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(y)));
#elif defined(__SSE4_1__)
    return reinterpret_cast<Words>(
        _mm_madd_epi16(reinterpret_cast<__m128i>(x), reinterpret_cast<__m128i>(y)));
#else
    Words sum{};
    for (int l = 0; l < lanes; ++l) {
        const auto low = static_cast<std::int16_t>(x[l]) * static_cast<std::int16_t>(y[l]);
        const auto high =
            static_cast<std::int16_t>(x[l] >> 16) * static_cast<std::int16_t>(y[l] >> 16);
        sum[l] = static_cast<std::uint32_t>(low) + static_cast<std::uint32_t>(high);
    }
    return sum;
#endif
}

inline std::uint32_t pair(std::uint32_t low, std::uint32_t high) {
    return (low & 0xFFFFU) | high << 16;
}

// One form of a step of integers, sixteen in a row.
template <bool right>
inline void pair_step(const std::int32_t* q, std::uint32_t* out) {
    std::uint32_t* const third = out + 16 * row_pairs;
    for (int k = 0; k < step_rows; k += 2)
        for (int c = 0; c < 16; ++c) {
            std::uint32_t upper[2];
            for (int t = 0; t < 2; ++t) {
                const std::int32_t x = q[16 * (k + t) + c];
                const std::int32_t s2 = static_cast<std::int8_t>(x), p = (x - s2) >> 8,
                                   s0 = (p - static_cast<std::int8_t>(p)) >> 8;
                upper[t] = static_cast<std::uint32_t>(p);
                const auto u = static_cast<std::uint32_t>(s0), v = static_cast<std::uint32_t>(s2);
                third[16 * (k + t) + c] = right ? pair(v, u) : pair(u, v);
            }
            out[8 * k + c] = pair(upper[0], upper[1]);
        }
}

inline void pair_up(const std::int32_t* q, int steps, std::int8_t* left, std::int8_t* right) {
    for (int k = 0; k < steps; ++k, q += packed_ints) {
        if (left != nullptr)
            pair_step<false>(q, reinterpret_cast<std::uint32_t*>(left) + k * pair_ints);
        if (right != nullptr)
            pair_step<true>(q, reinterpret_cast<std::uint32_t*>(right) + k * pair_ints);
    }
}

void pack_factor_rows(const float* x, index_t stride, int steps, std::int8_t* left,
                      std::int8_t* right, std::int32_t* exponents) {
    alignas(64) std::int32_t q[16 * fixed_point::block_rows];
    FetchAhead none;
    round_rows(x, stride, steps, q, exponents, none);
    pair_up(q, steps, left, right);
}

void pack_factor_columns(const float* x, index_t stride, int columns, int steps, std::int8_t* left,
                         std::int8_t* right, std::int32_t* exponents) {
    alignas(64) std::int32_t q[16 * fixed_point::block_rows];
    FetchAhead none;
    round_columns(x, stride, columns, steps, q, exponents, none);
    pair_up(q, steps, left, right);
}

// Sums of 16 by 16 columns. One of 256 products of p takes 39 bits: `low` is the sum modulo 2^32
// and `high` that of the upper halves of the pairs' sums, which tells the multiple of 2^32, as each
// half falls short by less than one.
struct PairSums {
    alignas(64) std::uint32_t low[256] = {}, high[256] = {};

    double at(int i) const {
        const auto rest = static_cast<std::int32_t>(low[i] - (high[i] << 16));
        return 65536.0 * static_cast<std::int32_t>(high[i]) + rest;
    }
};

// Four columns of the left factor times one register of the right one's, for one step: what a step
// reads stays in the first cache.
template <bool third>
inline void add_four_columns(const std::uint32_t* left, const std::uint32_t* right,
                             std::uint32_t* lows, std::uint32_t* highs) {
    Words low[4], high[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        low[i] = *reinterpret_cast<const Words*>(lows + 16 * i);
        high[i] = *reinterpret_cast<const Words*>(highs + 16 * i);
    }
    for (index_t t = 0; t < row_pairs; ++t) {
        const std::uint32_t* const a = left + 16 * t;
        const std::uint32_t* const a3 = left + 16 * (row_pairs + 2 * t);
        const std::uint32_t* const b3 = right + 16 * (row_pairs + 2 * t);
        const Words y = *reinterpret_cast<const Words*>(right + 16 * t);
        const Words z0 = *reinterpret_cast<const Words*>(b3),
                    z1 = *reinterpret_cast<const Words*>(b3 + 16);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            const Words sum = multiply_pairs(Words{} + a[i], y);
            low[i] += sum;
            high[i] += reinterpret_cast<Words>(reinterpret_cast<Integers>(sum) >> 16);
            if constexpr (third) {
                low[i] += multiply_pairs(Words{} + a3[i], z0);
                low[i] += multiply_pairs(Words{} + a3[16 + i], z1);
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        *reinterpret_cast<Words*>(lows + 16 * i) = low[i];
        *reinterpret_cast<Words*>(highs + 16 * i) = high[i];
    }
}

inline void one_pair_product(const std::int8_t* left, const std::int8_t* right, int steps,
                             bool third, const double* left_weights, const double* right_weights,
                             double* c) {
    const auto add = third ? add_four_columns<true> : add_four_columns<false>;
    const auto *a = reinterpret_cast<const std::uint32_t*>(left),
               *b = reinterpret_cast<const std::uint32_t*>(right);
    PairSums sums;
    for (int k = 0; k < steps; ++k, a += pair_ints, b += pair_ints)
        for (int j = 0; j < 16; j += lanes)
            for (int i = 0; i < 16; i += 4)
                add(a + i, b + j, sums.low + 16 * i + j, sums.high + 16 * i + j);
    for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 16; ++j)
            c[16 * i + j] += sums.at(16 * i + j) * (left_weights[i] * right_weights[j]);
}

void pair_product(const std::int8_t* left, const std::int8_t* right, index_t tiles, index_t spacing,
                  int steps, bool third, const double* left_weights, const double* right_weights,
                  double* c) {
    for (; tiles > 0; --tiles, right += spacing, right_weights += 16, c += 256)
        one_pair_product(left, right, steps, third, left_weights, right_weights, c);
}

}  // namespace
}  // namespace randnla::RANDNLA_ISA
