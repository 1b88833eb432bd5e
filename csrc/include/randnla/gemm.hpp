// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"
#include "randnla/threads.hpp"

// Matrix products over the thread team: each member calls the one-threaded BLAS on its own slab.
// Results agree with a plain product to rounding. With at most skinny_max_cols rows or columns, the
// shape of randomized methods, our kernels and a split that depends on the shape alone give the
// same bits to every team; else the last bits may depend on the number of threads.
namespace randnla {

// C = alpha A B + beta C for views of any layout.
template <class T>
void parallel_gemm(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c);

// The same on the calling member of a team alone.
template <class T>
void member_gemm(Team& team, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                 MatrixView<T> c);

}  // namespace randnla
