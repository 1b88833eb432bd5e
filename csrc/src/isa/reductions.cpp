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

}  // namespace

extern const ReductionKernels reduction_kernels;
const ReductionKernels reduction_kernels = {sum_squares<float>, sum_squares<double>};

}  // namespace randnla::RANDNLA_ISA
