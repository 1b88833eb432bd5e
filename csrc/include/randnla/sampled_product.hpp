// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/sparse_matrix.hpp"

namespace randnla {

// out[k] = (L R^T)(i, j) for the k-th stored entry (i, j) of a validated pattern, whose data are
// not read. L and R have contiguous rows. An entry is a sum of its own, in a fixed order.
template <class I, class T>
void csr_sampled_product(CsrView<I, T> pattern, MatrixView<const T> l, MatrixView<const T> r,
                         T* out);

}  // namespace randnla
