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

// out = S a, or out = S^T a, for views of any layout; S is the block of the shape that fits. S is
// generated in panels and never stored: all members of the team together take at most 24 MB. The
// result agrees with a plain product to rounding; its last bits may depend on the number of
// threads.
template <class T>
void apply_dense_map(const DenseMap& map, MatrixView<const T> a, MatrixView<T> out);
template <class T>
void apply_dense_map_adjoint(const DenseMap& map, MatrixView<const T> a, MatrixView<T> out);

}  // namespace randnla
