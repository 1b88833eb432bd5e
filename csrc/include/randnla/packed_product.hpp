// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// C += A B on the calling thread for column-major B and C of which only some columns fit into a
// cache: A is packed once for all of them, B and C are used where they lie. A column of C is summed
// in one order whatever columns are beside it.
template <class T>
struct PackedProduct {
    index_t rows;  // of a panel: A is packed in panels of so many rows, the last padded by zeros
    index_t cols;  // of a tile: C should have a multiple of so many columns
    // out[panel][k][row] = alpha A, packed_size(a.rows, a.cols, rows) elements
    void (*pack)(T alpha, MatrixView<const T> a, T* out);
    void (*multiply)(const T* packed, MatrixView<const T> b, MatrixView<T> c);
};

constexpr index_t packed_size(index_t rows, index_t inner, index_t panel_rows) {
    return (rows + panel_rows - 1) / panel_rows * panel_rows * inner;
}

struct PackedProductKernels {
    PackedProduct<float> f32;
    PackedProduct<double> f64;

    template <class T>
    const PackedProduct<T>& of() const {
        if constexpr (sizeof(T) == 4)
            return f32;
        else
            return f64;
    }
};
RANDNLA_DECLARE_KERNELS(PackedProductKernels, packed_product_kernels)

}  // namespace randnla
