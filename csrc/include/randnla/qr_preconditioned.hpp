// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/matrix_view.hpp"

// Steps of a QR factorization of chosen columns of a tall matrix whose triangular preconditioner is
// known. Cuts depend on the shape alone: the same bits for every number of threads.
namespace randnla {

enum class Precondition {
    multiply,  // by the inverse, in the type of A: products, at their speed
    solve      // by substitution in float64, backward stable whatever the condition
};

// Q = A(:, columns) R^{-1} and, if it is not empty, the row-major gram = Q^T Q, in one pass over A,
// a block of rows at a time: the chosen columns are never held whole but in Q. `factor` is
// R^{-1} to multiply by, or R to solve with: row-major, upper triangular, of Q's columns. Q is
// row-major. With `solve` the sums are of Q in float64, before it is rounded.
template <class T>
void precondition(MatrixView<const T> a, const std::int32_t* columns,
                  MatrixView<const double> factor, Precondition how, MatrixView<T> q,
                  MatrixView<double> gram);

// Q := Q M in place, M upper triangular and row-major, and gram of the result if it is not empty.
// `wide`: products of float32 in float64, rounded once.
template <class T>
void multiply_columns(MatrixView<T> q, MatrixView<const double> m, MatrixView<double> gram,
                      bool wide);

}  // namespace randnla
