// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

namespace randnla {

// Householder QR of the tall column-major A: R to r (square, upper), Q in A.
template <class T>
void householder_qr(MatrixView<T> a, MatrixView<T> r);

// B := B R^{-1} over the team, R upper triangular, both row-major.
template <class T>
void parallel_solve_right(MatrixView<const T> r, MatrixView<T> b);

}  // namespace randnla
