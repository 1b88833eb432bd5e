// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

// The two products of Woodbury's identity with a window G of few long rows, each one pass over G.
// Products are formed and summed in float64 whatever G is stored in, but for inner products with
// narrow rows, of which short runs are summed in float32; all cuts depend on the shape alone, so
// that results have the same bits for every number of threads.
namespace randnla {

// Numbers of sixteen bits as they are stored; finite ones are widened exactly.
struct Half {  // IEEE-754 binary16
    std::uint16_t bits;
};
struct Brain {  // bfloat16, the upper half of a float32
    std::uint16_t bits;
};

constexpr int window_rows =
    8;  // rows of G whose inner products a kernel takes side by side, at most

struct WindowKernels {
    // out[i * step] = G(i, :) x for `rows` rows of n numbers, `ld` apart.
    void (*dots_f32)(const float* g, index_t ld, int rows, const float* x, index_t n, double* out,
                     index_t step);
    void (*dots_f64)(const double* g, index_t ld, int rows, const double* x, index_t n, double* out,
                     index_t step);
    void (*dots_f16)(const Half* g, index_t ld, int rows, const float* x, index_t n, double* out,
                     index_t step);
    void (*dots_bf16)(const Brain* g, index_t ld, int rows, const float* x, index_t n, double* out,
                      index_t step);
    // sum += sum_i c[i] G(i, :).
    void (*combine_f32)(const float* g, index_t ld, int rows, const double* c, index_t n,
                        double* sum);
    void (*combine_f64)(const double* g, index_t ld, int rows, const double* c, index_t n,
                        double* sum);
    void (*combine_f16)(const Half* g, index_t ld, int rows, const double* c, index_t n,
                        double* sum);
    void (*combine_bf16)(const Brain* g, index_t ld, int rows, const double* c, index_t n,
                         double* sum);
};
RANDNLA_DECLARE_KERNELS(WindowKernels, window_kernels)

// C = G X^T (rows of G x rows of X), G and X with contiguous rows; S is T, or narrow where T is
// float.
template <class S, class T>
void window_dots(MatrixView<const S> g, MatrixView<const T> x, MatrixView<double> c);

// Y = alpha X + C^T G: rows of X and Y are vectors, C has one row a row of G. Rounded to T once.
template <class S, class T>
void window_combine(MatrixView<const S> g, MatrixView<const double> c, double alpha,
                    MatrixView<const T> x, MatrixView<T> y);

// out[k] = A(index[k], :) x, and out = sum_k c[k] A(index[k], :), of rows where they lie: nothing
// is copied together. Summed in float64; x and the second out have a number a column.
template <class T>
void gathered_dots(MatrixView<const T> a, const index_t* index, index_t count, const T* x,
                   double* out);
template <class T>
void gathered_combine(MatrixView<const T> a, const index_t* index, index_t count, const double* c,
                      double* out);

}  // namespace randnla
