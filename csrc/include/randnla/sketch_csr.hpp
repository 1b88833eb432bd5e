// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/sketch_dense.hpp"
#include "randnla/sketch_sparse.hpp"
#include "randnla/sparse_matrix.hpp"

// Random maps applied to sparse matrices, which stay sparse; the map is generated where it is
// needed. Bits depend neither on the team nor on the layout of the output.
namespace randnla {

// Which index of the CSR matrix the map's columns meet: out = scale S A for rows, scale S A^T for
// columns. The CSC form of a matrix is the CSR form of its transpose, so that the second serves it.
enum class CsrAxis { rows, columns };

// The scale is the map's; each of its entries is rounded with it, then multiplied.
template <class I, class T>
void csr_sketch_dense(const DenseMap& map, CsrAxis axis, CsrView<I, T> a, MatrixView<T> out);

// The sums are scaled at the end.
template <class I, class T>
void csr_sketch_sparse(const SparseMap& map, CsrAxis axis, index_t row_start, index_t col_start,
                       T scale, CsrView<I, T> a, MatrixView<T> out);

}  // namespace randnla
