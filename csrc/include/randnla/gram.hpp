// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// Gram matrices of tall matrices. Cuts depend on the shape alone: the same bits for every number of
// threads.
namespace randnla {

// Both triangles of the row-major C = A^T A. Accumulate = double sums float input in float64.
template <class T, class Accumulate>
void parallel_gram(MatrixView<const T> a, MatrixView<Accumulate> c);

// First and second moments of the rows about a point p (null: the origin), in one pass:
//   sums = sum_i (a_i - p),   gram = sum_i (a_i - p)(a_i - p)^T, both triangles, row-major.
// Block is the type that products of a stretch of at most 8192 rows are summed in; the stretches
// are summed in float64. Block = float on float32 input leaves an error of a few units of float32
// rounding of the trace.
template <class T, class Block>
void parallel_moments(MatrixView<const T> a, const T* point, MatrixView<double> gram, double* sums);

}  // namespace randnla
