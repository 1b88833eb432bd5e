// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

namespace randnla {

// out = unfold(t, mode) KhatriRao(other factors) of a tensor of three axes, of any strides. `a`,
// `b` and `c` are the factors of the axes; that of `mode` is not read. T is read once, where it
// lies; products of a block of slices are summed while they are in the cache. Same bits for every
// team.
template <class T>
void parallel_mttkrp(BatchView<const T> t, MatrixView<const T> a, MatrixView<const T> b,
                     MatrixView<const T> c, int mode, MatrixView<T> out);

}  // namespace randnla
