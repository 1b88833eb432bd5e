// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// x - p of a row (p a vector, null: zero) or of a column (p a number), with the sums. `out` null:
// the sums alone. "Widened" takes float32 to float64 before it subtracts.
struct MomentKernels {
    void (*row_f32)(const float* x, index_t n, const float* p, float* out, float* sums);
    void (*row_widened)(const float* x, index_t n, const float* p, double* out, double* sums);
    void (*row_f64)(const double* x, index_t n, const double* p, double* out, double* sums);
    double (*column_f32)(const float* x, index_t n, float p, float* out);
    double (*column_widened)(const float* x, index_t n, float p, double* out);
    double (*column_f64)(const double* x, index_t n, double p, double* out);
};
RANDNLA_DECLARE_KERNELS(MomentKernels, moment_kernels)

}  // namespace randnla
