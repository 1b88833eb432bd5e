// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/matrix_view.hpp"

// Blocked pivoted QR whose pivots come from a random sketch (BQRRP). What lies in A afterwards is
// LAPACK's format: R on and above the diagonal, Householder vectors below it.
namespace randnla {

struct PivotedQrOptions {
    index_t block = 48;         // columns a panel
    index_t most_columns = 0;   // ends there at the latest
    double target_squares = 0;  // ends once the sum of squares not yet factored is at most this
    std::uint64_t seed = 0;
};

struct PivotedQrReport {
    index_t columns = 0;  // factored; all rows of A from here on are what is left
    int sketches = 0;     // one, and one more each time that what is left fell below its resolution
};

// A P = Q R for the finite column-major A (m x n), entries of at most about 1. perm[j] = the column
// of A that column j of A P was. `t` is block x min(m, n), column-major: the triangular factor of
// panel j0 in its columns from j0 on, with the reflectors' tau on the diagonals; zero where nothing
// was factored. Bits depend on A and the options, not on the number of threads.
template <class T>
PivotedQrReport blocked_pivoted_qr(MatrixView<T> a, std::int32_t* perm, MatrixView<T> t,
                                   const PivotedQrOptions& options);

// The leading columns of Q, as many as the column-major q has, from the `columns` reflectors in the
// raw A, in panels of t.rows; turned so that they go with an R of nonnegative diagonal.
template <class T>
void form_q(MatrixView<const T> a, MatrixView<const T> t, index_t columns, MatrixView<T> q);

}  // namespace randnla
