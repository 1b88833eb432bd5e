// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/matrix_view.hpp"

namespace randnla {

// How an orthogonalization went.
struct CholeskyQrReport {
    enum class Route { cholesky, sketch, failed };
    Route route = Route::failed;
    int passes = 0;        // Cholesky factors taken
    index_t deflated = 0;  // dependent columns, whose place in Q random directions took
};

// Y = Q R for m x n, m >= n, any layout; Q (row-major) has orthonormal columns whatever the rank of
// Y, R (n x n, row-major) has a nonnegative diagonal. Fast where Y is well conditioned: Cholesky
// factors of two Gram matrices. Else Y is preconditioned by the triangle of a sketch of it. Where
// that fails too, or Y is too short to be sketched, the route is "failed" and Q and R hold
// nothing: the caller takes Householder's. Non-finite Y throws.
//
// The bits depend on Y, its layout and the seed, not on the number of threads; 2^p Y gives the
// same Q and 2^p R.
template <class T>
CholeskyQrReport cholesky_qr(MatrixView<const T> y, MatrixView<T> q, MatrixView<T> r,
                             std::uint64_t seed);

}  // namespace randnla
