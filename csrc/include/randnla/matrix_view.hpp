// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace randnla {

using index_t = std::int64_t;

// A matrix that lives elsewhere: any layout that two strides (in elements, of any sign) can say.
// Every kernel takes views, so C, Fortran, sliced, transposed and reversed input need no copy.
template <class T>
struct MatrixView {
    T* data = nullptr;
    index_t rows = 0, cols = 0;
    index_t row_stride = 0, col_stride = 0;

    T& operator()(index_t i, index_t j) const { return data[i * row_stride + j * col_stride]; }

    MatrixView block(index_t i0, index_t i1, index_t j0, index_t j1) const {
        return {data + i0 * row_stride + j0 * col_stride, i1 - i0, j1 - j0, row_stride, col_stride};
    }
    MatrixView transposed() const { return {data, cols, rows, col_stride, row_stride}; }

    bool empty() const { return rows == 0 || cols == 0; }
    // Rows are contiguous runs that do not overlap, as BLAS wants of a row-major operand.
    bool row_major() const {
        return (col_stride == 1 || cols <= 1) && (row_stride >= cols || rows <= 1);
    }
    bool col_major() const { return transposed().row_major(); }

    operator MatrixView<const T>() const { return {data, rows, cols, row_stride, col_stride}; }
};

// Matrices of one shape, `count` of them, with strides in elements.
template <class T>
struct BatchView {
    T* data;
    index_t count, rows, cols;
    index_t stride, row_stride, col_stride;

    MatrixView<T> operator[](index_t i) const {
        return {data + i * stride, rows, cols, row_stride, col_stride};
    }
};

template <class T>
MatrixView<T> row_major_view(T* data, index_t rows, index_t cols) {
    return {data, rows, cols, cols, 1};
}

}  // namespace randnla
