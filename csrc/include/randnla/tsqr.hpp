// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

namespace randnla {

// Tall-skinny QR: 2^-exponent A = Q R for a finite m x n A, m >= n, of any layout. Leaves of rows
// are factored apart by Householder's method, then their triangles, stacked, in the same way. R (n
// x n, any layout) has a nonnegative diagonal. Q is row-major without gaps and may be the memory of
// A; with no data only R is computed. Orthonormal whatever the condition or rank of A. The leaves,
// and so the bits, depend on the shape alone.
template <class T>
void tsqr(MatrixView<const T> a, int exponent, MatrixView<T> q, MatrixView<T> r);

}  // namespace randnla
