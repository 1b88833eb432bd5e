// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// The sign rule of factors.
namespace randnla {

// Turns every column of u whose entry of largest magnitude (the first of equal ones) is negative,
// and with it the column of v, which has as many.
template <class T>
void orient_columns(MatrixView<T> u, MatrixView<T> v);

}  // namespace randnla
