// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/tsqr.hpp"

#include <algorithm>
#include <cmath>

#include "qr_reflectors.hpp"
#include "randnla/blas.hpp"
#include "randnla/scaling.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// A leaf stays in the second cache where that is not less than four times its columns: every leaf
// costs a triangle, which is factored again.
template <class T>
index_t leaf_count(index_t rows, index_t cols) {
    constexpr index_t bytes = index_t{512} << 10;
    const index_t fits = bytes / (static_cast<index_t>(sizeof(T)) * cols);
    return std::max<index_t>(1, rows / std::max(4 * cols, fits));
}

// Rows [begin, end) of 2^-exponent A, column-major.
template <class T>
MatrixView<T> load(MatrixView<const T> a, index_t begin, index_t end, int exponent, T* buffer) {
    const auto rows = a.block(begin, end, 0, a.cols);
    const auto packed = col_major_view(buffer, rows.rows, rows.cols);
    constexpr index_t tile = 16;  // lines of A are used whole while they are in the first cache
    for (index_t i0 = 0; i0 < rows.rows; i0 += tile)
        for (index_t j = 0; j < rows.cols; ++j)
            for (index_t i = i0; i < std::min(rows.rows, i0 + tile); ++i) packed(i, j) = rows(i, j);
    if (exponent != 0) {
        const PowerOfTwo<T> power(-exponent);
        for (index_t i = 0; i < rows.rows * rows.cols; ++i) buffer[i] = power(buffer[i]);
    }
    return packed;
}

template <class T>
void copy_triangle(MatrixView<const T> from, MatrixView<T> to) {
    for (index_t i = 0; i < to.rows; ++i)
        for (index_t j = 0; j < to.cols; ++j) to(i, j) = j < i ? T(0) : from(i, j);
}

template <class T>
void store(MatrixView<const T> block, MatrixView<T> rows) {
    constexpr index_t tile = 16;
    for (index_t i0 = 0; i0 < rows.rows; i0 += tile)
        for (index_t j = 0; j < rows.cols; ++j)
            for (index_t i = i0; i < std::min(rows.rows, i0 + tile); ++i) rows(i, j) = block(i, j);
}

// The root: one leaf, where signs are settled for all.
template <class T>
void factor_root(MatrixView<const T> a, int exponent, MatrixView<T> q, MatrixView<T> r) {
    const index_t n = a.cols;
    const Scratch<T> memory(a.rows * n), triangle(n * n), tau(n);
    const auto block = load<T>(a, 0, a.rows, exponent, memory.data());
    const auto t = col_major_view(triangle.data(), n, n);
    lapack::geqrt<T>(block, t);
    copy_triangle<T>(block, r);
    const bool with_q = q.data != nullptr;
    if (with_q) {
        for (index_t j = 0; j < n; ++j) tau[j] = t(j, j);
        lapack::orgqr<T>(block, tau.data(), n);
    }
    for (index_t j = 0; j < n; ++j) {
        if (!std::signbit(r(j, j))) continue;
        for (index_t k = j; k < n; ++k) r(j, k) = -r(j, k);
        if (with_q)
            for (index_t i = 0; i < block.rows; ++i) block(i, j) = -block(i, j);
    }
    if (with_q) store<T>(block, q);
}

}  // namespace

template <class T>
void tsqr(MatrixView<const T> a, int exponent, MatrixView<T> q, MatrixView<T> r) {
    const index_t m = a.rows, n = a.cols;
    const bool with_q = q.data != nullptr;
    require(m >= n && r.rows == n && r.cols == n, "tsqr: A is tall, R of its columns");
    require(
        !with_q || (q.rows == m && q.cols == n && q.row_major() && (q.row_stride == n || m <= 1)),
        "tsqr: Q is row-major without gaps, of the shape of A");
    if (a.empty()) return;
    blas::use_one_thread();
    const index_t leaves = leaf_count<T>(m, n);
    if (leaves == 1) return factor_root<T>(a, exponent, q, r);

    const auto cut = [&](index_t leaf) { return m * leaf / leaves; };
    const Scratch<T> stack_memory(leaves * n * n), triangles(with_q ? leaves * n * n : 0);
    const auto stack = row_major_view(stack_memory.data(), leaves * n, n);
    parallel_for(leaves, 1, [&](index_t leaf, index_t) {
        const index_t begin = cut(leaf), end = cut(leaf + 1);
        const Scratch<T> memory((end - begin) * n), own(with_q ? 0 : n * n);
        const auto block = load<T>(a, begin, end, exponent, memory.data());
        const auto t = col_major_view(with_q ? triangles.data() + leaf * n * n : own.data(), n, n);
        std::fill(t.data, t.data + n * n, T(0));
        lapack::geqrt<T>(block, t);
        copy_triangle<T>(block, stack.block(leaf * n, (leaf + 1) * n, 0, n));
        // The leaf's rows of Q hold its reflectors, column by column, until the tree has been
        // climbed.
        if (with_q) std::copy(block.data, block.data + block.rows * n, &q(begin, 0));
    });
    tsqr<T>(stack, 0, with_q ? stack : MatrixView<T>{}, r);
    if (!with_q) return;
    parallel_for(leaves, 1, [&](index_t leaf, index_t) {
        const index_t begin = cut(leaf), end = cut(leaf + 1);
        const Scratch<T> memory((end - begin) * n), square(n * n);
        const auto t = col_major_view<const T>(triangles.data() + leaf * n * n, n, n);
        const auto block = col_major_view<const T>(&q(begin, 0), end - begin, n);
        const auto by = unpack_reflectors<T>(block, t, square.data());
        const auto out = col_major_view(memory.data(), end - begin, n);
        store<T>(stack.block(leaf * n, (leaf + 1) * n, 0, n), out.block(0, n, 0, n));
        reflect_top<T>(by, out);
        store<T>(out, q.block(begin, end, 0, n));
    });
}

template void tsqr<float>(MatrixView<const float>, int, MatrixView<float>, MatrixView<float>);
template void tsqr<double>(MatrixView<const double>, int, MatrixView<double>, MatrixView<double>);

}  // namespace randnla
