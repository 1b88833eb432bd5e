// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"
#include "randnla/philox.hpp"

// Dense random maps (Gaussian, Sign): entries written out, or multiplied into a matrix without ever
// being stored.
namespace randnla {

// A block of a dense map: its entry (i, j) is scale * entry(row_start + i, col_start + j) of the
// stream. The element type (float or double) picks the stream, so it is not part of this.
struct DenseMap {
    StreamKind kind = StreamKind::gaussian;
    std::uint64_t seed = 0, stream = 0;
    std::uint64_t row_start = 0, col_start = 0;
    double scale = 1;
};

// out = the block of out's shape. The bits depend on nothing but the map and the element type.
template <class T>
void fill_dense_map(const DenseMap& map, MatrixView<T> out);

}  // namespace randnla
