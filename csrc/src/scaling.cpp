// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/scaling.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "randnla/error.hpp"
#include "randnla/threads.hpp"

namespace randnla {
namespace {

// Rows and columns of a tile: its lines of both matrices stay in the first cache.
constexpr index_t tile = 32, rows_per_step = 128;

// body(i0, i1, j0, j1) for every tile, shares of rows over the team.
template <class Body>
void for_each_tile(index_t rows, index_t cols, const Body& body) {
    parallel_for(rows, rows_per_step, [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; i += tile)
            for (index_t j = 0; j < cols; j += tile)
                body(i, std::min(end, i + tile), j, std::min(cols, j + tile));
    });
}

}  // namespace

template <class T>
void copy_scaled(MatrixView<const T> a, int exponent, MatrixView<T> out) {
    require(a.rows == out.rows && a.cols == out.cols, "copy_scaled: shapes do not agree");
    if (std::abs(out.row_stride) < std::abs(out.col_stride))
        return copy_scaled<T>(a.transposed(), exponent, out.transposed());
    const PowerOfTwo<T> power(exponent);
    if (a.col_stride == 1 && out.col_stride == 1)
        return parallel_for(a.rows, 16, [&](index_t begin, index_t end) {
            for (index_t i = begin; i < end; ++i) {
                const T* from = &a(i, 0);
                T* to = &out(i, 0);
                for (index_t j = 0; j < a.cols; ++j) to[j] = power(from[j]);
            }
        });
    for_each_tile(a.rows, a.cols, [&](index_t i0, index_t i1, index_t j0, index_t j1) {
        for (index_t i = i0; i < i1; ++i)
            for (index_t j = j0; j < j1; ++j) out(i, j) = power(a(i, j));
    });
}

template <class T>
void scale_upper(MatrixView<T> a, index_t columns, int exponent) {
    const PowerOfTwo<T> power(exponent);
    parallel_for(a.cols, 16, [&](index_t begin, index_t end) {
        for (index_t j = begin; j < end; ++j)
            for (index_t i = 0; i < (j < columns ? std::min(a.rows, j + 1) : a.rows); ++i)
                a(i, j) = power(a(i, j));
    });
}

template <class T>
void extract_upper(MatrixView<const T> a, int exponent, MatrixView<T> out) {
    require(out.rows <= std::min(a.rows, a.cols) && out.cols == a.cols,
            "extract_upper: shapes do not agree");
    const PowerOfTwo<T> power(exponent);
    for_each_tile(out.rows, out.cols, [&](index_t i0, index_t i1, index_t j0, index_t j1) {
        for (index_t i = i0; i < i1; ++i) {
            const bool turned = std::signbit(a(i, i));
            for (index_t j = j0; j < j1; ++j) {
                const T x = j < i ? T(0) : power(a(i, j));
                out(i, j) = turned && j >= i ? -x : x;
            }
        }
    });
}

#define RANDNLA_INSTANTIATE(T)                                             \
    template void copy_scaled<T>(MatrixView<const T>, int, MatrixView<T>); \
    template void scale_upper<T>(MatrixView<T>, index_t, int);             \
    template void extract_upper<T>(MatrixView<const T>, int, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
