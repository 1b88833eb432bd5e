// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/qr_kernels.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

void widen(const float* x, index_t n, double* __restrict out) {
    for (index_t i = 0; i < n; ++i) out[i] = static_cast<double>(x[i]);
}

void add_rounded(const double* x, index_t n, float* __restrict out) {
    for (index_t i = 0; i < n; ++i) out[i] = static_cast<float>(static_cast<double>(out[i]) + x[i]);
}

void scatter_row(const double* x, index_t n, const std::int32_t* rows, const double* signs, int nnz,
                 double* sums) {
    for (int z = 0; z < nnz; ++z) {
        double* __restrict target = sums + rows[z] * n;
        const double sign = signs[z];
        for (index_t j = 0; j < n; ++j) target[j] += sign * x[j];
    }
}

}  // namespace

extern const QrKernels qr_kernels;
const QrKernels qr_kernels = {widen, add_rounded, scatter_row};

}  // namespace randnla::RANDNLA_ISA
