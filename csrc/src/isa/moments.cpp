// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/moments.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

template <class T, class Out>
void row(const T* x, index_t n, const T* p, Out* __restrict out, Out* __restrict sums) {
    if (p == nullptr && out == nullptr) {
        for (index_t j = 0; j < n; ++j) sums[j] += static_cast<Out>(x[j]);
    } else if (out == nullptr) {
        for (index_t j = 0; j < n; ++j) sums[j] += static_cast<Out>(x[j]) - static_cast<Out>(p[j]);
    } else if (p == nullptr) {
        for (index_t j = 0; j < n; ++j) {
            out[j] = static_cast<Out>(x[j]);
            sums[j] += out[j];
        }
    } else {
        for (index_t j = 0; j < n; ++j) {
            out[j] = static_cast<Out>(x[j]) - static_cast<Out>(p[j]);
            sums[j] += out[j];
        }
    }
}

// Sixteen partial sums in a fixed order.
template <class T, class Out>
double column(const T* x, index_t n, T p, Out* __restrict out) {
    constexpr int width = 16;
    double partial[width] = {};
    const Out point = static_cast<Out>(p);
    index_t i = 0;
    for (; i + width <= n; i += width)
        for (int l = 0; l < width; ++l) {
            const Out value = static_cast<Out>(x[i + l]) - point;
            if (out != nullptr) out[i + l] = value;
            partial[l] += static_cast<double>(value);
        }
    for (; i < n; ++i) {
        const Out value = static_cast<Out>(x[i]) - point;
        if (out != nullptr) out[i] = value;
        partial[i % width] += static_cast<double>(value);
    }
    double sum = 0;
    for (const double s : partial) sum += s;
    return sum;
}

}  // namespace

extern const MomentKernels moment_kernels;
const MomentKernels moment_kernels = {row<float, float>,     row<float, double>,
                                      row<double, double>,   column<float, float>,
                                      column<float, double>, column<double, double>};

}  // namespace randnla::RANDNLA_ISA
