// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// Matrices that lie side by side in the lanes of a register: element (i, j), j <= i, of all of them
// is the vector i (i + 1) / 2 + j of `a`. info[lane] := 1 + the first pivot that is not positive,
// unless it is set already.
struct BatchedKernels {
    int lanes_f32, lanes_f64;
    // a := L, A = L L^T.
    void (*cholesky_f32)(float* a, int n, std::int32_t* info);
    void (*cholesky_f64)(double* a, int n, std::int32_t* info);
    // a := lower triangle of A^-1.
    void (*invert_f32)(float* a, int n, std::int32_t* info);
    void (*invert_f64)(double* a, int n, std::int32_t* info);
    // b := A^-1 b, b of n rows of k vectors; a is overwritten.
    void (*solve_f32)(float* a, int n, std::int32_t* info, float* b, index_t k);
    void (*solve_f64)(double* a, int n, std::int32_t* info, double* b, index_t k);
    // out := the lower triangles of as many matrices as there are lanes, `stride` apart, with rows
    // of at least so many numbers without gaps; and back, symmetric or zero above the diagonal.
    void (*gather_f32)(const float* a, index_t stride, index_t row_stride, int n, float* out);
    void (*gather_wide)(const float* a, index_t stride, index_t row_stride, int n, double* out);
    void (*gather_f64)(const double* a, index_t stride, index_t row_stride, int n, double* out);
    void (*scatter_f32)(const float* in, int n, bool symmetric, float* a, index_t stride,
                        index_t row_stride);
    void (*scatter_wide)(const double* in, int n, bool symmetric, float* a, index_t stride,
                         index_t row_stride);
    void (*scatter_f64)(const double* in, int n, bool symmetric, double* a, index_t stride,
                        index_t row_stride);
};
RANDNLA_DECLARE_KERNELS(BatchedKernels, batched_kernels)

// All of these read the lower triangle of A_i + shift_i I (shift: `count` numbers, or one for all
// where shift_stride is 0) and report in info[i] 0, 1 + the first pivot that is not positive and
// finite, or 1 + the order where the result is beyond the range of T; the result of such a matrix
// is NaN. A right-hand side that is not finite is nothing to report. Work is the type that is
// computed in: T or double.
template <class T, class Work>
void batched_cholesky(BatchView<const T> a, const double* shift, index_t shift_stride,
                      BatchView<T> lower, std::int32_t* info);
template <class T, class Work>
void batched_inverse(BatchView<const T> a, const double* shift, index_t shift_stride,
                     BatchView<T> inverse, std::int32_t* info);
template <class T, class Work>
void batched_solve(BatchView<const T> a, const double* shift, index_t shift_stride,
                   BatchView<const T> b, BatchView<T> x, std::int32_t* info);

}  // namespace randnla
