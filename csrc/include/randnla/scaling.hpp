// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "randnla/matrix_view.hpp"

// Copies that multiply by a power of two on the way, over the team.
namespace randnla {

// 2^exponent as two factors, to be applied one after the other: no single one reaches every
// exponent.
template <class T>
struct PowerOfTwo {
    explicit PowerOfTwo(int exponent)
        : first(std::ldexp(T(1), exponent / 2)),
          second(std::ldexp(T(1), exponent - exponent / 2)) {}
    T operator()(T x) const { return x * first * second; }
    T first, second;
};

// out = 2^exponent A, both of any layout.
template <class T>
void copy_scaled(MatrixView<const T> a, int exponent, MatrixView<T> out);

// A factorization in LAPACK's format, of which `columns` columns are done: what is above the
// diagonal of those and all of the others times 2^exponent, in place. A is column-major.
template <class T>
void scale_upper(MatrixView<T> a, index_t columns, int exponent);

// The upper trapezoid of the column-major A times 2^exponent to the row-major out, which may be
// shorter, with zeros below; rows are turned so that the diagonal is nonnegative.
template <class T>
void extract_upper(MatrixView<const T> a, int exponent, MatrixView<T> out);

}  // namespace randnla
