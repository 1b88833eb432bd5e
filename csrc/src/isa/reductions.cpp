// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/reductions.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

// Thirty-two partial sums in a fixed order: the same bits at every level, and wide enough to hide
// the latency of the additions.
template <class T>
double sum_squares(const T* x, index_t n) {
    constexpr int width = 32;
    double partial[width] = {};
    index_t i = 0;
    for (; i + width <= n; i += width)
        for (int l = 0; l < width; ++l) {
            const double v = static_cast<double>(x[i + l]);
            partial[l] += v * v;
        }
    for (; i < n; ++i) {
        const double v = static_cast<double>(x[i]);
        partial[i % width] += v * v;
    }
    double sum = 0;
    for (const double p : partial) sum += p;
    return sum;
}

// Comparisons with a NaN are false: it never becomes the largest, but it stays in the sum.
template <bool scaling, class T>
Extent extent_of(const T* x, index_t n, double scale) {
    constexpr int width = 32;
    constexpr T infinity = static_cast<T>(__builtin_inf());
    double sum[width];
    T high[width], low[width];
    for (int l = 0; l < width; ++l) {
        sum[l] = 0;
        high[l] = 0;
        low[l] = infinity;
    }
    const auto look = [&](int l, T value) {
        const T a = value < 0 ? -value : value;
        const T positive = a > 0 ? a : infinity;
        const double scaled = scaling ? scale * static_cast<double>(a) : static_cast<double>(a);
        sum[l] += scaled * scaled;
        high[l] = a > high[l] ? a : high[l];
        low[l] = positive < low[l] ? positive : low[l];
    };
    index_t i = 0;
    for (; i + width <= n; i += width)
        for (int l = 0; l < width; ++l) look(l, x[i + l]);
    for (; i < n; ++i) look(static_cast<int>(i % width), x[i]);
    Extent all{0, 0, __builtin_inf()};
    for (int l = 0; l < width; ++l) {
        all.sum_squares += sum[l];
        const auto largest = static_cast<double>(high[l]), smallest = static_cast<double>(low[l]);
        all.largest = largest > all.largest ? largest : all.largest;
        all.smallest = smallest < all.smallest ? smallest : all.smallest;
    }
    return all;
}

template <class T>
Extent extent(const T* x, index_t n, double scale) {
    return scale == 1.0 ? extent_of<false>(x, n, scale) : extent_of<true>(x, n, scale);
}

}  // namespace

extern const ReductionKernels reduction_kernels;
const ReductionKernels reduction_kernels = {sum_squares<float>, sum_squares<double>, extent<float>,
                                            extent<double>};

}  // namespace randnla::RANDNLA_ISA
