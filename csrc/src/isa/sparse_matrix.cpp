// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sparse_matrix.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

// 64-byte vectors: one register on v4, split by the compiler elsewhere. Products and sums are
// rounded apart, so that every level has the same bits.
template <class T>
struct Vec {
    static constexpr index_t size = 64 / sizeof(T);
    typedef T type __attribute__((vector_size(64)));
    typedef T unaligned __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
};

// Rows of X fetched ahead of their use: X is larger than L2 as a rule.
constexpr index_t prefetch_rows = 6;

template <class I>
bool in_range(const I* indices, index_t n, index_t cols) {
    I low = 0, high = 0;
    for (index_t k = 0; k < n; ++k) {
        low = indices[k] < low ? indices[k] : low;
        high = indices[k] > high ? indices[k] : high;
    }
    return n == 0 || (low >= 0 && static_cast<index_t>(high) < cols);
}

// NV vectors held in registers. The last starts at last_offset and may overlap the one before:
// lanes are independent, so the shared columns are only computed twice.
template <class I, class T, int NV>
void gather_vectors(const I* indices, const T* data, index_t nnz, const T* x, index_t ldx,
                    index_t last_offset, T* c) {
    using V = Vec<T>;
    typename V::type sum[NV] = {};
    for (index_t k = 0; k < nnz; ++k) {
        const T* row = x + static_cast<index_t>(indices[k]) * ldx;
        if (k + prefetch_rows < nnz) {
            const T* ahead = x + static_cast<index_t>(indices[k + prefetch_rows]) * ldx;
            for (int v = 0; v < NV; ++v) __builtin_prefetch(ahead + v * V::size);
        }
        const T value = data[k];
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) {
            const index_t offset = v == NV - 1 ? last_offset : v * V::size;
            sum[v] += *reinterpret_cast<const typename V::unaligned*>(row + offset) * value;
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
        const index_t offset = v == NV - 1 ? last_offset : v * V::size;
        *reinterpret_cast<typename V::unaligned*>(c + offset) = sum[v];
    }
}

template <class I, class T>
void gather_narrow(const I* indices, const T* data, index_t nnz, const T* x, index_t ldx,
                   index_t width, T* c) {
    T sum[Vec<T>::size] = {};
    for (index_t k = 0; k < nnz; ++k) {
        const T* row = x + static_cast<index_t>(indices[k]) * ldx;
        for (index_t j = 0; j < width; ++j) sum[j] += data[k] * row[j];
    }
    for (index_t j = 0; j < width; ++j) c[j] = sum[j];
}

template <class I, class T>
void gather_rows(const I* indices, const T* data, index_t nnz, const T* x, index_t ldx,
                 index_t width, T* c) {
    constexpr index_t lanes = Vec<T>::size;
    if (width == 1) {
        T sum = 0;
        for (index_t k = 0; k < nnz; ++k)
            sum += data[k] * x[static_cast<index_t>(indices[k]) * ldx];
        *c = sum;
        return;
    }
    if (width < lanes) return gather_narrow(indices, data, nnz, x, ldx, width, c);
    using Kernel = void (*)(const I*, const T*, index_t, const T*, index_t, index_t, T*);
    static constexpr Kernel kernels[] = {gather_vectors<I, T, 1>, gather_vectors<I, T, 2>,
                                         gather_vectors<I, T, 3>, gather_vectors<I, T, 4>,
                                         gather_vectors<I, T, 5>, gather_vectors<I, T, 6>,
                                         gather_vectors<I, T, 7>, gather_vectors<I, T, 8>};
    for (index_t j = 0; j < width;) {
        const index_t left = width - j, take = left < 8 * lanes ? left : 8 * lanes;
        // A remainder below one vector starts early enough to fill it.
        const index_t start = take < lanes ? width - lanes : j, span = width - start;
        const index_t columns = span < 8 * lanes ? span : 8 * lanes;
        const index_t vectors = (columns + lanes - 1) / lanes;
        kernels[vectors - 1](indices, data, nnz, x + start, ldx, columns - lanes, c + start);
        j = start + columns;
    }
}

template <class T>
inline void axpy(T value, const T* __restrict x, index_t width, T* __restrict c) {
    for (index_t j = 0; j < width; ++j) c[j] += value * x[j];
}

template <class I, class T>
void scatter_row(const I* indices, const T* data, index_t nnz, const T* x, index_t width,
                 index_t first, index_t last, T* c, index_t ldc) {
    for (index_t k = 0; k < nnz; ++k) {
        const index_t row = static_cast<index_t>(indices[k]);
        if (row >= first && row < last) axpy(data[k], x, width, c + (row - first) * ldc);
    }
}

template <class I, class T>
void gather_strip(const I* indices, const T* data, index_t nnz, index_t first, const T* x, T* c) {
    using U = typename Vec<T>::unaligned;
    constexpr index_t lanes = Vec<T>::size;
    auto low = *reinterpret_cast<const U*>(c), high = *reinterpret_cast<const U*>(c + lanes);
    for (index_t k = 0; k < nnz; ++k) {
        const T* row = x + (static_cast<index_t>(indices[k]) - first) * 2 * lanes;
        const T value = data[k];
        low += *reinterpret_cast<const U*>(row) * value;
        high += *reinterpret_cast<const U*>(row + lanes) * value;
    }
    *reinterpret_cast<U*>(c) = low;
    *reinterpret_cast<U*>(c + lanes) = high;
}

template <class I, class T>
constexpr CsrKernels<I, T> kernels_of() {
    return {in_range<I>, gather_rows<I, T>, scatter_row<I, T>, gather_strip<I, T>};
}

}  // namespace

extern const CsrKernelTable csr_kernel_table;
const CsrKernelTable csr_kernel_table = {
    kernels_of<std::int32_t, float>(), kernels_of<std::int32_t, double>(),
    kernels_of<std::int64_t, float>(), kernels_of<std::int64_t, double>()};

}  // namespace randnla::RANDNLA_ISA
