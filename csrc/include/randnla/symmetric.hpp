// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// Symmetric matrices of which the upper triangle is held, in row-major storage: what lies strictly
// below the diagonal is neither read nor written.
namespace randnla {

// C = beta C + alpha A^T A, A of any layout; beta = 0 overwrites C whatever it held. Cuts depend on
// the shape alone: the same bits for every number of threads.
template <class T>
void update_triangle(T alpha, MatrixView<const T> a, T beta, MatrixView<T> c);

// Y = S X for X and Y of any layout. Last bits may depend on the number of threads, as those of
// parallel_gemm do.
template <class T>
void symmetric_product(MatrixView<const T> s, MatrixView<const T> x, MatrixView<T> y);

// Out = alpha S, both triangles, row-major.
template <class T>
void unfold_triangle(T alpha, MatrixView<const T> s, MatrixView<T> out);

// Upper triangle of C = A^T B for tall A and B whose product is known to be symmetric. Products of
// stretches of at most 1024 rows are summed in T, the stretches in float64: the same bits for every
// number of threads.
template <class T>
void crossed_gram(MatrixView<const T> a, MatrixView<const T> b, MatrixView<double> c);

}  // namespace randnla
