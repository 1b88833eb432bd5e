// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/symmetric_eigh.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "randnla/blas.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Rows a member takes at a time; of the order alone, so that results are too.
index_t grain_of(index_t n) {
    constexpr index_t least = 32, most = 256, blocks = 4;
    return std::clamp((n + blocks - 1) / blocks, least, most);
}

// Rows or columns of a triangular product that a member takes at a time.
constexpr index_t strip = 32;

// From here on the two halves of a tridiagonal matrix, and two Gram matrices, are decomposed side
// by side.
constexpr index_t worth_halving = 128;

// Eigenpairs of a tridiagonal matrix as stedc gives them but for their order, which `order` tells.
// The last tearing of divide and conquer is ours, so that its two halves run on two threads.
template <class T>
index_t divide_and_conquer(T* d, T* e, MatrixView<T> v, blas::int_t* order) {
    const index_t n = v.rows, cut = n / 2;
    std::iota(order, order + n, 0);
    T size = 0;
    for (index_t i = 0; i < n; ++i) size = std::max(size, std::abs(d[i]));
    for (index_t i = 0; i + 1 < n; ++i) size = std::max(size, std::abs(e[i]));
    if (n < worth_halving || !(size > 0)) return lapack::stedc<T>(d, e, v);
    for (index_t i = 0; i < n; ++i) d[i] /= size;
    for (index_t i = 0; i + 1 < n; ++i) e[i] /= size;
    const T coupling = e[cut - 1];
    d[cut - 1] -= std::abs(coupling);
    d[cut] -= std::abs(coupling);
    std::fill(v.data, v.data + n * n, T(0));
    index_t failed[2] = {0, 0};
    parallel_for(2, 1, [&](index_t half, index_t) {
        const index_t i0 = half == 0 ? 0 : cut, i1 = half == 0 ? cut : n;
        failed[half] = lapack::stedc<T>(d + i0, e + i0, v.block(i0, i1, i0, i1));
    });
    if (failed[0] != 0 || failed[1] != 0) return std::max(failed[0], failed[1]);
    const index_t unmerged = lapack::merge_torn<T>(d, v, cut, coupling, order);
    for (index_t i = 0; i < n; ++i) d[i] *= size;
    return unmerged;
}

// By decreasing magnitude; of equal ones the first stays first.
template <class T>
void sort_by_magnitude(const T* d, index_t n, blas::int_t* order) {
    std::stable_sort(order, order + n,
                     [d](blas::int_t i, blas::int_t j) { return std::abs(d[i]) > std::abs(d[j]); });
}

enum class Order { ascending, by_magnitude };

// Eigenpairs of A = Q T Q^T: all values in the order asked for, and the vectors of the first
// `count`. R, if any, is an upper triangle whose inverse is applied to the vectors too.
template <class T>
index_t tridiagonal_eigh(MatrixView<T> a, const MatrixView<const T>* r, T* w, Order wanted,
                         index_t count) {
    const index_t n = a.rows;
    const Scratch<T> diagonal(n), off_diagonal(n), tau(n), memory(n * n), chosen(count * n);
    const Scratch<blas::int_t> order(n);
    lapack::sytrd_upper<T>(a, diagonal.data(), off_diagonal.data(), tau.data());
    const index_t failed = divide_and_conquer<T>(diagonal.data(), off_diagonal.data(),
                                                 row_major_view(memory.data(), n, n), order.data());
    if (failed != 0) return failed;
    if (wanted == Order::by_magnitude) sort_by_magnitude<T>(diagonal.data(), n, order.data());
    for (index_t i = 0; i < n; ++i) w[i] = diagonal[order[i]];
    const auto vectors = row_major_view(chosen.data(), count, n);  // one in a row
    for (index_t i = 0; i < count; ++i)
        std::copy_n(memory.data() + order[i] * n, n, &vectors(i, 0));
    parallel_for(count, grain_of(n), [&](index_t begin, index_t end) {
        const auto mine = vectors.block(begin, end, 0, n);
        lapack::ormtr_upper<T>(a, tau.data(), mine);
        if (r != nullptr) blas::trsm_right_upper_transposed<T>(*r, mine);
    });
    for (index_t i = 0; i < count; ++i) std::copy_n(&vectors(i, 0), n, &a(i, 0));
    return 0;
}

}  // namespace

template <class T>
index_t symmetric_eigh(MatrixView<T> a, T* w) {
    if (a.empty()) return 0;
    blas::use_one_thread();
    return tridiagonal_eigh<T>(a, nullptr, w, Order::ascending, a.rows);
}

template <class T>
index_t leading_eigh(MatrixView<T> a, T* w, index_t count) {
    require(count >= 0 && count <= a.rows, "leading_eigh: count lies between 0 and the order");
    if (a.empty()) return 0;
    blas::use_one_thread();
    return tridiagonal_eigh<T>(a, nullptr, w, Order::by_magnitude, count);
}

// G = R^T R:  C x = w G x  <=>  (R^-T C R^-1) z = w z,  x = R^-1 z.
template <class T>
index_t symmetric_pencil(MatrixView<T> c, MatrixView<T> g, T* w) {
    if (c.empty()) return 0;
    blas::use_one_thread();
    if (lapack::potrf_upper<T>(g) != 0) return -1;
    const MatrixView<const T> r = g;
    lapack::sygst_upper<T>(r, c);
    return tridiagonal_eigh<T>(c, &r, w, Order::ascending, c.rows);
}

// C = R^T R and G = S^T S:  C x = w G x  <=>  (W W^T) z = w z,  W = R S^-1,  x = R^-1 z.
template <class T>
index_t semidefinite_pencil(MatrixView<double> c, MatrixView<double> g, T* w, MatrixView<T> x) {
    if (c.empty()) return 0;
    blas::use_one_thread();
    const index_t n = c.rows;
    index_t failed[2] = {0, 0};
    parallel_for(2, n < worth_halving ? 2 : 1, [&](index_t begin, index_t end) {
        for (index_t which = begin; which < end; ++which)
            failed[which] = lapack::potrf_upper<double>(which == 0 ? g : c);
    });
    if (failed[0] != 0 || failed[1] != 0) return -1;
    const Scratch<double> memory(n * n);
    const Scratch<T> narrowed(n * n);
    const auto product = row_major_view(memory.data(), n, n);
    const auto r = row_major_view(narrowed.data(), n, n);
    parallel_for(n, strip, [&](index_t i0, index_t i1) {
        for (index_t i = i0; i < i1; ++i) {
            std::fill(&product(i, 0), &product(i, 0) + i, 0.0);
            std::copy(&c(i, i), &c(i, 0) + n, &product(i, i));
            for (index_t j = i; j < n; ++j) r(i, j) = static_cast<T>(c(i, j));
        }
        blas::trsm_right_upper<double>(g.block(i0, n, i0, n), product.block(i0, i1, i0, n));
    });
    parallel_for(n, strip, [&](index_t j0, index_t j1) {
        const auto right = product.block(j0, j1, j0, n);
        blas::gemm<double>(1.0, product.block(0, j1, j0, n), right.transposed(), 0.0,
                           c.block(0, j1, j0, j1));  // R is in r
        for (index_t i = 0; i < j1; ++i)
            for (index_t j = std::max(i, j0); j < j1; ++j) x(i, j) = static_cast<T>(c(i, j));
    });
    const MatrixView<const T> factor = r;
    return tridiagonal_eigh<T>(x, &factor, w, Order::ascending, n);
}

#define RANDNLA_INSTANTIATE(T)                                                          \
    template index_t symmetric_eigh<T>(MatrixView<T>, T*);                              \
    template index_t leading_eigh<T>(MatrixView<T>, T*, index_t);                       \
    template index_t symmetric_pencil<T>(MatrixView<T>, MatrixView<T>, T*);             \
    template index_t semidefinite_pencil<T>(MatrixView<double>, MatrixView<double>, T*, \
                                            MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
