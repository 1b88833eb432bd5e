// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/workspace.hpp"

using namespace randnla;

namespace {

// Storage of exactly the span of a view with the given strides, filled with small integers, so that
// products are exact and a sanitizer sees every access outside.
template <class T>
struct Held {
    std::vector<T> data;
    MatrixView<T> view;

    Held(index_t rows, index_t cols, index_t row_stride, index_t col_stride, T seed) {
        const index_t low = std::min<index_t>(0, (rows - 1) * row_stride) +
                            std::min<index_t>(0, (cols - 1) * col_stride);
        const index_t span =
            1 + (rows - 1) * std::abs(row_stride) + (cols - 1) * std::abs(col_stride);
        data.assign(static_cast<std::size_t>(span), std::numeric_limits<T>::quiet_NaN());
        view = {data.data() - low, rows, cols, row_stride, col_stride};
        for (index_t i = 0; i < rows; ++i)
            for (index_t j = 0; j < cols; ++j)
                view(i, j) = static_cast<T>((3 * i + 5 * j) % 7) - seed;
    }
};

template <class T>
Held<T> held(index_t rows, index_t cols, int layout, T seed) {
    switch (layout) {
        case 0:
            return {rows, cols, cols, 1, seed};
        case 1:
            return {rows, cols, 1, rows, seed};
        case 2:
            return {rows, cols, 2 * cols + 3, 2, seed};
        case 3:
            return {rows, cols, -cols, -1, seed};
        case 4:
            return {rows, cols, 1, -rows, seed};
        default:
            return {rows, cols, cols + 5, 1, seed};
    }
}

template <class T>
bool products_are_exact(index_t m, index_t k, index_t n, int la, int lb, int lc) {
    const auto a = held<T>(m, k, la, T(3)), b = held<T>(k, n, lb, T(2));
    const auto c = held<T>(m, n, lc, T(1)), before = held<T>(m, n, 0, T(1));
    parallel_gemm<T>(T(2), a.view, b.view, T(-1), c.view);
    for (index_t i = 0; i < m; ++i)
        for (index_t j = 0; j < n; ++j) {
            T sum = -before.view(i, j);
            for (index_t p = 0; p < k; ++p) sum += T(2) * a.view(i, p) * b.view(p, j);
            if (sum != c.view(i, j)) return false;
        }
    return true;
}

}  // namespace

TEST(gemm_takes_every_layout) {
    for (int la = 0; la < 6; ++la)
        for (int lb = 0; lb < 6; ++lb)
            for (int lc = 0; lc < 6; ++lc) {
                CHECK(products_are_exact<float>(7, 19, 5, la, lb, lc));
                CHECK(products_are_exact<double>(130, 33, 41, la, lb, lc));
            }
    CHECK(products_are_exact<double>(3, 2000, 2, 2, 3, 4));  // summed by the members apart
    CHECK(products_are_exact<float>(1, 1, 1, 3, 3, 3));
}

TEST(gemm_with_beta_zero_overwrites_nan) {
    auto c = held<double>(4, 4, 0, 0.0);
    for (double& x : c.data) x = std::numeric_limits<double>::quiet_NaN();
    const auto a = held<double>(4, 0, 0, 0.0);
    parallel_gemm<double>(1.0, a.view, a.view.transposed(), 0.0, c.view);
    bool zero = true;
    for (const double x : c.data) zero = zero && x == 0.0;
    CHECK(zero);
}

TEST(sizes_beyond_the_blas_are_refused) {
    CHECK(blas::narrow(2147483647, "size") == 2147483647);
    CHECK_THROWS(blas::narrow(index_t{1} << 31, "size"), Error);
}

TEST(scratch_is_aligned_nested_and_reused) {
    const void* first = nullptr;
    for (int round = 0; round < 3; ++round) {
        const Scratch<double> outer(100);
        const Scratch<float> middle(3);
        {
            const Scratch<char> inner(1 << 20);
            inner[(1 << 20) - 1] = 1;
            outer[99] = middle[2] = 1;
        }
        CHECK(reinterpret_cast<std::uintptr_t>(outer.data()) % Workspace::alignment == 0);
        CHECK(reinterpret_cast<std::uintptr_t>(middle.data()) % Workspace::alignment == 0);
        const auto begin = reinterpret_cast<const char*>(middle.data());
        const auto outer_begin = reinterpret_cast<const char*>(outer.data());
        CHECK(begin >= outer_begin + 100 * sizeof(double) || begin + 12 <= outer_begin);
        if (round == 1) first = outer.data();
        if (round == 2) CHECK(outer.data() == first);
    }
}

TEST(scratch_of_a_call_stays_for_the_next_one) {
    const void* kept[2] = {};
    for (int round = 0; round < 3; ++round) {
        const Scratch<char> first(index_t{5} << 20), second(index_t{9} << 20);
        first[0] = second[0] = 1;
        // From the second call on all of it lies in one block, at the same place.
        if (round > 0) CHECK(second.data() == first.data() + (index_t{5} << 20));
        if (round == 1) kept[0] = first.data(), kept[1] = second.data();
        if (round == 2) CHECK(first.data() == kept[0] && second.data() == kept[1]);
    }
}

TEST(scratch_refuses_impossible_sizes) {
    CHECK_THROWS(Scratch<double>(-1), Error);
    CHECK_THROWS(Scratch<double>(std::numeric_limits<index_t>::max()), Error);
}
