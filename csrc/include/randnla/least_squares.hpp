// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// What least squares by refinement reads of a tall matrix, in one sweep over its rows. Cuts depend
// on the shape alone: the same bits for every number of threads.
namespace randnla {

// R = B - A X, which is kept only where `residual` is not empty, tells the gradient A^T R (n x k)
// and the k sums of squares of its columns; all of it in float64, whatever A is.
struct ResidualSums {
    MatrixView<const double> b, x;
    MatrixView<double> residual, gradient;
    double* squares;
};

template <class T>
void sweep_residual(MatrixView<const T> a, const ResidualSums& sums);

// The same, and the row-major gram = A^T A, summed in float64.
template <class T>
void sweep_gram(MatrixView<const T> a, const ResidualSums& sums, MatrixView<double> gram);

// The same with gram = (A P)^T (A P) for a row-major P: A P is formed in float64 and its products
// in float32, which suffices where A P is well conditioned. An `upper` P holds zeros below its
// diagonal, most of which are passed over.
template <class T>
void sweep_preconditioned(MatrixView<const T> a, const ResidualSums& sums,
                          MatrixView<const double> p, bool upper, MatrixView<double> gram);

}  // namespace randnla
