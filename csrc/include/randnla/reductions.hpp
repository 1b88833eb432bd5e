// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// What one look at a run of numbers tells. A NaN shows in the sum, an infinity in the largest.
struct Extent {
    double sum_squares = 0;  // of scale * x, accumulated in float64
    double largest = 0;      // of |x|
    double smallest = 0;     // of the nonzero |x|, infinity if there is none
};

// Sums over one contiguous run, accumulated in float64.
struct ReductionKernels {
    double (*sum_squares_f32)(const float* x, index_t n);
    double (*sum_squares_f64)(const double* x, index_t n);
    Extent (*extent_f32)(const float* x, index_t n, double scale);
    Extent (*extent_f64)(const double* x, index_t n, double scale);
};
RANDNLA_DECLARE_KERNELS(ReductionKernels, reduction_kernels)

}  // namespace randnla
