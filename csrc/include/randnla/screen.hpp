// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// One pass over a matrix of any layout: is it finite, how large is it, what is its Frobenius norm.
namespace randnla {

struct ScreenResult {
    double sum_squares = 0;  // of 2^-exponent A
    int exponent = 0;        // 0 while max|a| lies in [2^-400, 2^400]
    double largest = 0;      // max|a| over the entries that are not NaN
    double smallest = 0;     // the least nonzero |a|, infinity if there is none
    bool finite = true;
};

// The chunks, and so the bits of the sum, depend on shape and layout, never on the threads. A
// power of two times A has exactly that power of two times the norm of A.
template <class T>
ScreenResult screen_matrix(MatrixView<const T> a);

}  // namespace randnla
