// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/packed_product.hpp"

#include "kernel_lanes.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

// Tiles of two vectors by most_cols columns: enough sums to hide the latency of a multiply-add, and
// two vectors of A and one number of B beside them in the registers.
#if defined(__AVX512F__)
constexpr int most_cols = 8;
#else
constexpr int most_cols = 6;
#endif

template <class T>
constexpr index_t panel_rows = 2 * Lanes<T>::count;

// Of A: what is multiplied before moving on to other columns stays in the second cache.
constexpr index_t row_block = 256, inner_block = 512;

template <class T>
typename Lanes<T>::Vector load(const T* p) {
    typename Lanes<T>::Vector v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

template <class T>
void store(T* p, typename Lanes<T>::Vector v) {
    __builtin_memcpy(p, &v, sizeof(v));
}

template <class T>
void pack(T alpha, MatrixView<const T> a, T* out) {
    constexpr index_t rows = panel_rows<T>;
    for (index_t i0 = 0; i0 < a.rows; i0 += rows) {
        const index_t count = a.rows - i0 < rows ? a.rows - i0 : rows;
        if (count == rows && a.row_stride == 1) {
            for (index_t k = 0; k < a.cols; ++k, out += rows)
                for (index_t r = 0; r < rows; ++r) out[r] = alpha * (&a(i0, k))[r];
            continue;
        }
        for (index_t k = 0; k < a.cols; ++k, out += rows) {
            for (index_t r = 0; r < count; ++r) out[r] = alpha * a(i0 + r, k);
            for (index_t r = count; r < rows; ++r) out[r] = T(0);
        }
    }
}

template <class T, int cols>
void tile(index_t inner, const T* a, const T* b, index_t b_stride, T* c, index_t c_stride) {
    constexpr index_t lanes = Lanes<T>::count;
    typename Lanes<T>::Vector sum[2][cols];
#pragma GCC unroll 8
    for (int j = 0; j < cols; ++j) {
        sum[0][j] = load<T>(c + j * c_stride);
        sum[1][j] = load<T>(c + j * c_stride + lanes);
    }
    for (index_t k = 0; k < inner; ++k, a += 2 * lanes, ++b) {
        const auto upper = load<T>(a), lower = load<T>(a + lanes);
#pragma GCC unroll 8
        for (int j = 0; j < cols; ++j) {
            const auto x = b[j * b_stride] - typename Lanes<T>::Vector{};  // in every lane
            sum[0][j] = multiply_add(upper, x, sum[0][j]);
            sum[1][j] = multiply_add(lower, x, sum[1][j]);
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < cols; ++j) {
        store<T>(c + j * c_stride, sum[0][j]);
        store<T>(c + j * c_stride + lanes, sum[1][j]);
    }
}

// The last rows of C, fewer than a panel has.
template <class T, int cols>
void edge(index_t inner, const T* a, const T* b, index_t b_stride, T* c, index_t c_stride,
          index_t rows) {
    alignas(64) T padded[panel_rows<T> * cols] = {};
    for (index_t j = 0; j < cols; ++j)
        for (index_t i = 0; i < rows; ++i) padded[j * panel_rows<T> + i] = c[j * c_stride + i];
    tile<T, cols>(inner, a, b, b_stride, padded, panel_rows<T>);
    for (index_t j = 0; j < cols; ++j)
        for (index_t i = 0; i < rows; ++i) c[j * c_stride + i] = padded[j * panel_rows<T> + i];
}

// Asks for the rows [begin, end) of some columns. The first panel of a tile would wait for all of
// B's columns and the others for none: each asks for its share of the next tile's.
template <class T>
void fetch(MatrixView<const T> b, index_t begin, index_t end) {
    constexpr index_t line = 64 / sizeof(T);
    for (index_t k = begin; k < end && k < b.rows; k += line)
        for (index_t j = 0; j < b.cols; ++j) __builtin_prefetch(&b(k, j));
}

// Panels of A (their first element of this stretch at a, `stride` from one to the next) by all
// columns of B: `cols` at a time, then by halves of that.
template <class T, int cols>
void columns(const T* a, index_t stride, MatrixView<const T> b, MatrixView<T> c) {
    constexpr index_t rows = panel_rows<T>, worth_fetching = 128;
    const index_t share = b.rows < worth_fetching ? 0 : (b.rows * rows + c.rows - 1) / c.rows;
    index_t j = 0;
    for (; j + cols <= c.cols; j += cols) {
        const T* panel = a;
        const auto next =
            b.block(0, b.rows, j + cols, j + 2 * cols < c.cols ? j + 2 * cols : c.cols);
        index_t i = 0;
        for (; i + rows <= c.rows; i += rows, panel += stride) {
            fetch<T>(next, i / rows * share, (i / rows + 1) * share);
            tile<T, cols>(b.rows, panel, &b(0, j), b.col_stride, &c(i, j), c.col_stride);
        }
        if (i < c.rows)
            edge<T, cols>(b.rows, panel, &b(0, j), b.col_stride, &c(i, j), c.col_stride,
                          c.rows - i);
    }
    if constexpr (cols > 1)
        if (j < c.cols)
            columns<T, cols / 2>(a, stride, b.block(0, b.rows, j, b.cols),
                                 c.block(0, c.rows, j, c.cols));
}

template <class T>
void multiply(const T* packed, MatrixView<const T> b, MatrixView<T> c) {
    constexpr index_t rows = panel_rows<T>;
    const index_t inner = b.rows, stride = inner * rows;
    for (index_t k = 0; k < inner; k += inner_block) {
        const auto part = b.block(k, inner - k < inner_block ? inner : k + inner_block, 0, b.cols);
        for (index_t i = 0; i < c.rows; i += row_block)
            columns<T, most_cols>(
                packed + i / rows * stride + k * rows, stride, part,
                c.block(i, c.rows - i < row_block ? c.rows : i + row_block, 0, c.cols));
    }
}

}  // namespace

extern const PackedProductKernels packed_product_kernels;
const PackedProductKernels packed_product_kernels = {
    {panel_rows<float>, most_cols, pack<float>, multiply<float>},
    {panel_rows<double>, most_cols, pack<double>, multiply<double>}};

}  // namespace randnla::RANDNLA_ISA
