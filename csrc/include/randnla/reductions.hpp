// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// Sums over one contiguous run, accumulated in float64.
struct ReductionKernels {
    double (*sum_squares_f32)(const float* x, index_t n);
    double (*sum_squares_f64)(const double* x, index_t n);
};
RANDNLA_DECLARE_KERNELS(ReductionKernels, reduction_kernels)

}  // namespace randnla
