// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// The first columns X of a tall row-major A = [X, Y] and what they do to all of them, in float64.
// Cuts depend on the shape alone: the same bits for every number of threads.
namespace randnla {

// Exchanges column j of A and column j * apart, one j after the other, for as many as `out` has
// rows: X. Then out = X^T A; it is row-major.
void leading_moments(MatrixView<float> a, index_t apart, MatrixView<double> out);

// A := [X M_1, Y + X M_2] in place, rounded once, and gram = Y^T Y of the new Y, both triangles, in
// one pass. M = [M_1, M_2] and gram are row-major, X as many columns as M has rows. Products of
// gram are summed in float32 over blocks of up to `stretch` rows, which are summed in float64.
void add_leading(MatrixView<float> a, MatrixView<const double> m, MatrixView<double> gram,
                 index_t stretch);

}  // namespace randnla
