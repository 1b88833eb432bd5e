// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// Inner loops of the orthogonalization.
struct QrKernels {
    void (*widen)(const float* x, index_t n, double* out);
    // out += x, summed in float64.
    void (*add_rounded)(const double* x, index_t n, float* out);
    // sum[row(z), :] += sign(z) x for z < nnz; sums has rows of length n.
    void (*scatter_row)(const double* x, index_t n, const std::int32_t* rows, const double* signs,
                        int nnz, double* sums);
};
RANDNLA_DECLARE_KERNELS(QrKernels, qr_kernels)

}  // namespace randnla
