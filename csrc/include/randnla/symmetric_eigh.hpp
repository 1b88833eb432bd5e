// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// Eigenpairs of small symmetric matrices by LAPACK's tridiagonal divide and conquer; the vectors
// are turned back on the team, in column blocks that depend on the order alone.
namespace randnla {

// Eigenvalues (ascending) and eigenvectors of the row-major symmetric A (upper triangle read),
// which is overwritten: on return a(j, :) is the vector of w[j]. Returns LAPACK's info.
template <class T>
index_t symmetric_eigh(MatrixView<T> a, T* w);

// The same with w by decreasing magnitude and the vectors of the first `count` only: turning the
// others back is half of the work. What the other rows of A hold is of no use.
template <class T>
index_t leading_eigh(MatrixView<T> a, T* w, index_t count);

// Eigenpairs of the pencil C x = w G x, G positive definite, of row-major upper triangles that are
// overwritten: w ascending, on return c(j, :) is the vector of w[j], of unit length in the inner
// product of G. Returns -1 where G is not positive definite (c is untouched then), else LAPACK's
// info.
template <class T>
index_t symmetric_pencil(MatrixView<T> c, MatrixView<T> g, T* w);

// Eigenpairs of C x = w G x, both positive definite row-major upper triangles that are overwritten:
// w ascending, x(j, :) the vector of w[j], of unit length in the inner product of C, which is the
// identity on T's rounding however small w[j] is. The values are known to T's rounding of the
// largest. Returns -1 where G or C is not positive definite, else LAPACK's info.
template <class T>
index_t semidefinite_pencil(MatrixView<double> c, MatrixView<double> g, T* w, MatrixView<T> x);

}  // namespace randnla
