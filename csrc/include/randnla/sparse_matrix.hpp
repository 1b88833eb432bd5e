// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// A sparse matrix in compressed rows that lives elsewhere: row i holds the entries
// indptr[i] .. indptr[i+1] of (indices, data), in any order, repeated columns adding up. The CSC
// form of a matrix is the CSR form of its transpose.
template <class I, class T>
struct CsrView {
    const I* indptr = nullptr;
    const I* indices = nullptr;
    const T* data = nullptr;
    index_t rows = 0, cols = 0, nnz = 0;
};

// Throws InputError unless indptr rises from 0 to at most nnz and every index lies in [0, cols).
// Nothing below reads an index that has not passed here.
template <class I, class T>
void validate(CsrView<I, T> a);

// C = A X for a validated A. Row i of C sums in storage order whatever the team or the layouts.
template <class I, class T>
void csr_matmul(CsrView<I, T> a, MatrixView<const T> x, MatrixView<T> c);

// C = A^T X for a validated A; every entry sums over ascending rows of A, so threads do not change
// bits.
template <class I, class T>
void csr_transposed_matmul(CsrView<I, T> a, MatrixView<const T> x, MatrixView<T> c);

// Inner loops, X and C with contiguous rows of `width` elements.
template <class I, class T>
struct CsrKernels {
    // True if all of indices[0..n) lie in [0, cols).
    bool (*in_range)(const I* indices, index_t n, index_t cols);
    // c = sum over k of data[k] X[indices[k], :].
    void (*gather_rows)(const I* indices, const T* data, index_t nnz, const T* x, index_t ldx,
                        index_t width, T* c);
    // C[indices[k] - first, :] += data[k] x for the k whose index lies in [first, last).
    void (*scatter_row)(const I* indices, const T* data, index_t nnz, const T* x, index_t width,
                        index_t first, index_t last, T* c, index_t ldc);
    // c[0 : 128 bytes] += sum over k of data[k] * x[(indices[k] - first) * 128 bytes : ], in turn.
    void (*gather_strip)(const I* indices, const T* data, index_t nnz, index_t first, const T* x,
                         T* c);
};
struct CsrKernelTable {
    CsrKernels<std::int32_t, float> i32_f32;
    CsrKernels<std::int32_t, double> i32_f64;
    CsrKernels<std::int64_t, float> i64_f32;
    CsrKernels<std::int64_t, double> i64_f64;
};
RANDNLA_DECLARE_KERNELS(CsrKernelTable, csr_kernel_table)

template <class I, class T>
const CsrKernels<I, T>& csr_kernels() {
    const CsrKernelTable& table = csr_kernel_table();
    if constexpr (sizeof(I) == 4) {
        if constexpr (sizeof(T) == 4)
            return table.i32_f32;
        else
            return table.i32_f64;
    } else {
        if constexpr (sizeof(T) == 4)
            return table.i64_f32;
        else
            return table.i64_f64;
    }
}

}  // namespace randnla
