// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/philox.hpp"

// What the kernels offer to the host: plain pointers to device memory, strides in elements, nothing
// allocated, nothing synchronized. The CPU core has the same rooms under the same names.
namespace randnla::cuda {

using index_t = std::int64_t;
using StreamHandle = void*;

template <class T>
struct Matrix {
    T* data;
    index_t rows, cols, row_stride, col_stride;
};

// As DenseMap of the core: entry (i, j) is scale * entry(row_start + i, col_start + j).
struct DenseMap {
    StreamKind kind = StreamKind::gaussian;
    std::uint64_t seed = 0, stream = 0;
    std::uint64_t row_start = 0, col_start = 0;
    double scale = 1;
};

template <class T>
void fill_dense_map(const DenseMap& map, Matrix<T> out, StreamHandle stream);

// y = a S^T (S of y.cols rows), or y = a S if adjoint, S never stored. squares, if not null, gets
// sum_of_squares_parts(a.rows, element size) partial sums of the squares of a.
template <class T>
void apply_dense_map(const DenseMap& map, bool adjoint, Matrix<const T> a, Matrix<T> y,
                     double* squares, StreamHandle stream);
index_t sum_of_squares_parts(index_t rows, int element_bytes);

// SparseSign, or CountSketch (nnz = 1, kind countsketch); positions and signs as in the core.
struct SparseMap {
    StreamKind kind = StreamKind::sparse_sign;
    std::uint64_t seed = 0, stream = 0;
    index_t rows = 0, nnz = 1;
    int element_bits = 32;
};
void sparse_map_columns(const SparseMap& map, index_t first, index_t count, std::int64_t* positions,
                        std::int8_t* signs, StreamHandle stream);

// True where the sums of a strip of 32 columns fit shared memory: apply_sparse_map then adds in the
// order of the core (rows of a ascending, then the order of the draw) and has its bits. Otherwise
// it adds atomically, in no order, to an out that it clears first.
bool sparse_map_is_ordered(const SparseMap& map, int element_bytes);
template <class T>
void apply_sparse_map(const SparseMap& map, T scale, Matrix<const T> a, Matrix<T> out,
                      StreamHandle stream);
template <class T>
void apply_sparse_map_adjoint(const SparseMap& map, T scale, Matrix<const T> a, Matrix<T> out,
                              StreamHandle stream);

// The SRHT of the columns of a; positions are the sampled rows of the transform, one per row of
// out. The order, the power of two at or above a.rows, is at most hadamard_limit(element size).
index_t hadamard_limit(int element_bytes);
template <class T>
void apply_hadamard(std::uint64_t seed, std::uint64_t map_stream, const std::int64_t* positions,
                    T scale, Matrix<const T> a, Matrix<T> out, StreamHandle stream);

// out[k, :] = scale a[rows[k], :].
template <class T>
void gather_rows(const std::int64_t* rows, T scale, Matrix<const T> a, Matrix<T> out,
                 StreamHandle stream);

// inverse_i = (A_i + shift_i I)^-1 of `count` contiguous n by n matrices, from their lower
// triangles; shift_stride is 1, or 0 for one shift for all. info as in the core: 0, 1 + the first
// pivot that is not positive and finite, or n + 1 where the result is beyond the range of T; such a
// result is NaN. n is at most batched_limit(element size).
index_t batched_limit(int element_bytes);
template <class T>
void batched_inverse(const T* a, T* inverse, index_t count, index_t n, const double* shift,
                     index_t shift_stride, std::int32_t* info, StreamHandle stream);

}  // namespace randnla::cuda
