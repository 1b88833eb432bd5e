// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "randnla/blas.hpp"
#include "randnla/symmetric.hpp"
#include "randnla/symmetric_eigh.hpp"
#include "randnla/threads.hpp"

// One triangle of a symmetric matrix, on teams of one to three, against plain loops: small
// integers, so that sums are exact, and a guard value below the diagonal that nobody may touch.
using namespace randnla;

namespace {

constexpr int guard = 99;

template <class T>
struct Storage {
    std::vector<T> data;
    MatrixView<T> view;
    Storage(index_t rows, index_t cols, bool by_rows = true)
        : data(static_cast<std::size_t>(rows * cols)),
          view{data.data(), rows, cols, by_rows ? cols : 1, by_rows ? 1 : rows} {}
    MatrixView<const T> input() const { return view; }
};

template <class T>
Storage<T> numbered(index_t rows, index_t cols, bool by_rows) {
    Storage<T> made(rows, cols, by_rows);
    for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < cols; ++j)
            made.view(i, j) = static_cast<T>((3 * i + 5 * j + i * j) % 5 - 2);
    return made;
}

template <class T>
Storage<T> triangle(index_t n) {
    Storage<T> made(n, n);
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j)
            made.view(i, j) = j < i ? T(guard) : static_cast<T>((i + 2 * j) % 7 - 3);
    return made;
}

template <class T>
T entry(const Storage<T>& s, index_t i, index_t j) {
    return s.view(std::min(i, j), std::max(i, j));
}

template <class T>
void check_update(index_t rows, index_t n, bool by_rows) {
    const auto a = numbered<T>(rows, n, by_rows);
    auto c = triangle<T>(n);
    const auto before = triangle<T>(n);
    update_triangle<T>(T(2), a.input(), T(0.5), c.view);
    bool right = true;
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j) {
            T sum = 0;
            for (index_t p = 0; p < rows; ++p) sum += a.view(p, i) * a.view(p, j);
            const T expected = j < i ? T(guard) : T(2) * sum + T(0.5) * before.view(i, j);
            right = right && c.view(i, j) == expected;
        }
    CHECK(right);
}

template <class T>
void check_product(index_t n, index_t cols, bool by_rows) {
    const auto s = triangle<T>(n);
    const auto x = numbered<T>(n, cols, by_rows);
    Storage<T> y(n, cols, !by_rows);
    symmetric_product<T>(s.input(), x.input(), y.view);
    bool right = true;
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < cols; ++j) {
            T sum = 0;
            for (index_t p = 0; p < n; ++p) sum += entry(s, i, p) * x.view(p, j);
            right = right && y.view(i, j) == sum;
        }
    CHECK(right);
}

template <class T>
void check_crossed(index_t rows, index_t n, bool by_rows) {
    const auto a = numbered<T>(rows, n, by_rows);
    Storage<double> c(n, n);
    std::fill(c.data.begin(), c.data.end(), double(guard));
    crossed_gram<T>(a.input(), a.input(), c.view);
    bool right = true;
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j) {
            double sum = 0;
            for (index_t p = 0; p < rows; ++p) sum += double(a.view(p, i)) * double(a.view(p, j));
            right = right && c.view(i, j) == (j < i ? double(guard) : sum);
        }
    CHECK(right);
}

template <class T>
void on_teams() {
    for (int members = 1; members <= 3; ++members) {
        set_num_threads(members);
        for (const bool by_rows : {true, false}) {
            check_update<T>(7, 30, by_rows);
            check_update<T>(3000, 50, by_rows);
            check_update<T>(40, 700, by_rows);
            check_update<T>(0, 12, by_rows);
            check_product<T>(1, 3, by_rows);
            check_product<T>(50, 7, by_rows);
            check_product<T>(500, 20, by_rows);
            check_crossed<T>(2500, 70, by_rows);
            check_crossed<T>(3, 1, by_rows);
        }
        const auto s = triangle<T>(77);
        Storage<T> out(77, 77);
        unfold_triangle<T>(T(2), s.input(), out.view);
        bool right = true;
        for (index_t i = 0; i < 77; ++i)
            for (index_t j = 0; j < 77; ++j)
                right = right && out.view(i, j) == T(2) * entry(s, i, j);
        CHECK(right);
    }
    set_num_threads(0);
}

// |A x - w x|, the inner products of the vectors and the order of the values, for a matrix of order
// n with a gap in its coupling, repeated values and vectors that a rotation of it moves.
template <class T>
void check_eigh(index_t n, bool split) {
    Storage<T> a(n, n);
    for (index_t i = 0; i < n; ++i)
        for (index_t j = i; j < n; ++j) {
            const bool apart = split && (i < n / 2) != (j < n / 2);
            const T value =
                i == j ? static_cast<T>(i % 3) : T(1) / static_cast<T>(1 + (j - i) * (j - i));
            a.view(i, j) = a.view(j, i) = apart ? T(0) : value;
        }
    Storage<T> v(n, n);
    v.data = a.data;
    std::vector<T> w(static_cast<std::size_t>(n));
    CHECK(symmetric_eigh<T>(v.view, w.data()) == 0);
    CHECK(std::is_sorted(w.begin(), w.end()));
    double residual = 0, overlap = 0;
    for (index_t j = 0; j < n; ++j)
        for (index_t i = 0; i < n; ++i) {
            double product = 0, inner = i == j ? -1 : 0;
            for (index_t p = 0; p < n; ++p) {
                product += double(a.view(i, p)) * double(v.view(j, p));
                inner += double(v.view(i, p)) * double(v.view(j, p));
            }
            const double value = double(w[static_cast<std::size_t>(j)]);
            residual = std::max(residual, std::abs(product - value * double(v.view(j, i))));
            overlap = std::max(overlap, std::abs(inner));
        }
    // ||A|| is below 6; sums of n roundings, most of which cancel.
    const double small = 10 * std::sqrt(double(n)) * double(std::numeric_limits<T>::epsilon());
    CHECK(residual < 6 * small && overlap < small);

    // The leading ones are the same, one by one.
    const index_t count = (n + 2) / 3;
    Storage<T> some(n, n);
    some.data = a.data;
    std::vector<T> sizes(static_cast<std::size_t>(n));
    CHECK(leading_eigh<T>(some.view, sizes.data(), count) == 0);
    std::vector<index_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), index_t{0});
    const auto value = [&](index_t i) { return w[static_cast<std::size_t>(i)]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](index_t i, index_t j) { return std::abs(value(i)) > std::abs(value(j)); });
    bool right = true;
    double apart = 0;
    for (index_t i = 0; i < n; ++i) {
        const index_t from = order[static_cast<std::size_t>(i)];
        right = right && sizes[static_cast<std::size_t>(i)] == value(from);
        for (index_t p = 0; i < count && p < n; ++p)
            apart = std::max(apart, std::abs(double(some.view(i, p)) - double(v.view(from, p))));
    }
    // Blocks of other widths may round differently.
    CHECK(right && apart < small);
}

// |C x - w G x| and the inner products of the vectors, for a pencil of order n.
void check_pencil(index_t n) {
    Storage<double> c(n, n), g(n, n), c0(n, n), g0(n, n);
    for (index_t i = 0; i < n; ++i)
        for (index_t j = i; j < n; ++j) {
            c0.view(i, j) = c0.view(j, i) = std::cos(double(i * j + i + j));
            g0.view(i, j) = g0.view(j, i) = i == j ? 2.0 : 0.5 / double(1 + (j - i) * (j - i));
        }
    c.data = c0.data;
    g.data = g0.data;
    std::vector<double> w(static_cast<std::size_t>(n));
    CHECK(symmetric_pencil<double>(c.view, g.view, w.data()) == 0);
    double worst = 0, gap = 0;
    for (index_t k = 0; k < n; ++k) {
        for (index_t l = 0; l <= k; ++l) {
            double inner = 0;
            for (index_t i = 0; i < n; ++i)
                for (index_t j = 0; j < n; ++j)
                    inner += c.view(k, i) * g0.view(i, j) * c.view(l, j);
            gap = std::max(gap, std::abs(inner - (k == l ? 1.0 : 0.0)));
        }
        for (index_t i = 0; i < n; ++i) {
            double residual = 0;
            for (index_t j = 0; j < n; ++j)
                residual +=
                    (c0.view(i, j) - w[static_cast<std::size_t>(k)] * g0.view(i, j)) * c.view(k, j);
            worst = std::max(worst, std::abs(residual));
        }
    }
    CHECK(worst < 1e-12 * double(n));
    CHECK(gap < 1e-13 * double(n));
    CHECK(std::is_sorted(w.begin(), w.end()));
}

// The same where C is the Gram matrix of columns of lengths 2^-n .. 1/2, and G is graded likewise.
template <class T>
void check_graded_pencil(index_t n) {
    Storage<double> c(n, n), g(n, n), c0(n, n), g0(n, n);
    const auto length = [&](index_t i) { return std::ldexp(1.0, -int(1 + i * 20 / n)); };
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j) {
            const double near = i == j ? 1.0 : 0.3 / double(1 + (j - i) * (j - i));
            c0.view(i, j) = near * length(i) * length(j);
            g0.view(i, j) = (i == j ? 1.0 : near / 2) * std::sqrt(length(i) * length(j));
        }
    c.data = c0.data;
    g.data = g0.data;
    Storage<T> x(n, n);
    std::vector<T> w(static_cast<std::size_t>(n));
    CHECK(semidefinite_pencil<T>(c.view, g.view, w.data(), x.view) == 0);
    CHECK(std::is_sorted(w.begin(), w.end()));
    const double unit = double(std::numeric_limits<T>::epsilon()) * double(n);
    double gap = 0, worst = 0;
    for (index_t k = 0; k < n; ++k)
        for (index_t l = 0; l <= k; ++l) {
            double in_c = 0, in_g = 0;
            for (index_t i = 0; i < n; ++i)
                for (index_t j = 0; j < n; ++j) {
                    in_c += double(x.view(k, i)) * c0.view(i, j) * double(x.view(l, j));
                    in_g += double(x.view(k, i)) * g0.view(i, j) * double(x.view(l, j));
                }
            const double s = double(w[static_cast<std::size_t>(k)]),
                         t = double(w[static_cast<std::size_t>(l)]);
            gap = std::max(gap, std::abs(in_c - (k == l ? 1.0 : 0.0)));
            // C x = s G x and x^T C x = 1: x^T G x = 1 / s, up to rounding of the largest value.
            worst = std::max(worst, std::abs(s * t * in_g - (k == l ? s : 0.0)));
        }
    CHECK(gap < 8 * unit);
    CHECK(worst < 8 * unit * double(w.back()));
}

}  // namespace

TEST(graded_pencils) {
    for (int members = 1; members <= 2; ++members) {
        set_num_threads(members);
        for (const index_t n : {1, 2, 31, 32, 33, 64, 130}) {
            check_graded_pencil<float>(n);
            check_graded_pencil<double>(n);
        }
    }
    set_num_threads(0);
    for (const bool first : {false, true}) {
        Storage<double> c(2, 2), g(2, 2), x(2, 2);
        (first ? c : g).data = {1, 2, 2, 1};  // indefinite
        (first ? g : c).data = {1, 0, 0, 1};
        double w[2];
        CHECK(semidefinite_pencil<double>(c.view, g.view, w, x.view) == -1);
    }
}

TEST(triangles) {
    on_teams<float>();
    on_teams<double>();
}

TEST(pencils) {
    for (const index_t n : {1, 2, 33, 130}) check_pencil(n);
    Storage<double> c(2, 2), g(2, 2);
    g.data = {1, 2, 2, 1};  // indefinite
    c.data = {1, 2, 3, 4};
    double w[2];
    CHECK(symmetric_pencil<double>(c.view, g.view, w) == -1);
    CHECK(c.data == (std::vector<double>{1, 2, 3, 4}));
}

TEST(eigenpairs_by_halves) {
    for (int members = 1; members <= 2; ++members) {
        set_num_threads(members);
        for (const index_t n : {1, 2, 127, 128, 231})
            for (const bool split : {false, true}) {
                check_eigh<float>(n, split);
                check_eigh<double>(n, split);
            }
    }
    set_num_threads(0);
}
