// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "randnla/error.hpp"
#include "randnla/qr_pivoted.hpp"
#include "randnla/qr_preconditioned.hpp"
#include "randnla/scaling.hpp"
#include "randnla/tsqr.hpp"

using namespace randnla;

namespace {

// Storage of exactly the size of the matrix, so that a sanitizer sees every access outside.
template <class T>
struct Owned {
    std::vector<T> data;
    MatrixView<T> view;

    Owned(index_t rows, index_t cols, bool col_major)
        : data(static_cast<std::size_t>(rows * cols), std::numeric_limits<T>::quiet_NaN()),
          view{data.data(), rows, cols, col_major ? 1 : cols, col_major ? rows : 1} {}
};

// In (-1/2, 1/2), without pattern.
double scattered(index_t i, index_t j) {
    const double x = 43758.5453 * std::sin(12.9898 * static_cast<double>(i + 1) +
                                           78.233 * static_cast<double>(j + 1));
    return x - std::floor(x) - 0.5;
}

template <class T>
Owned<T> sample(index_t rows, index_t cols, index_t rank, bool col_major) {
    Owned<T> a(rows, cols, col_major);
    for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < cols; ++j) {
            double sum = 0;
            for (index_t k = 0; k < rank; ++k) sum += scattered(i, k) * scattered(k + 1000, j);
            a.view(i, j) = static_cast<T>(sum);
        }
    return a;
}

template <class T>
double orthonormality(MatrixView<const T> q) {
    double worst = 0;
    for (index_t i = 0; i < q.cols; ++i)
        for (index_t j = 0; j < q.cols; ++j) {
            double sum = i == j ? -1 : 0;
            for (index_t k = 0; k < q.rows; ++k)
                sum += static_cast<double>(q(k, i)) * static_cast<double>(q(k, j));
            worst = std::max(worst, std::abs(sum));
        }
    return worst;
}

// max |A(:, perm) - Q R|; perm null: none.
template <class T>
double residual(MatrixView<const T> a, const std::int32_t* perm, MatrixView<const T> q,
                MatrixView<const T> r) {
    double worst = 0;
    for (index_t i = 0; i < a.rows; ++i)
        for (index_t j = 0; j < a.cols; ++j) {
            double sum = static_cast<double>(a(i, perm == nullptr ? j : perm[j]));
            for (index_t k = 0; k < r.rows; ++k)
                sum -= static_cast<double>(q(i, k)) * static_cast<double>(r(k, j));
            worst = std::max(worst, std::abs(sum));
        }
    return worst;
}

template <class T>
void check_pivoted(index_t m, index_t n, index_t rank, index_t block) {
    const double small = 200 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const index_t k = std::min(m, n);
    const auto a = sample<T>(m, n, rank, true);
    auto work = a.data;
    const MatrixView<T> raw{work.data(), m, n, 1, m};
    Owned<T> t(block, k, true), q(m, k, true), r(k, n, false);
    std::vector<std::int32_t> perm(static_cast<std::size_t>(n), -1);
    const auto report = blocked_pivoted_qr<T>(raw, perm.data(), t.view, {block, k, 0, 7});
    CHECK(report.columns == k);
    form_q<T>(raw, t.view, report.columns, q.view);
    extract_upper<T>(raw, 0, r.view);
    CHECK(orthonormality<T>(q.view) < small);
    CHECK(residual<T>(a.view, perm.data(), q.view, r.view) < small);
    double first = 0;
    for (index_t j = 0; j < k; ++j) {
        const auto d = static_cast<double>(r.view(j, j));
        first = std::max(first, d);
        CHECK(d >= 0);
        CHECK((d > small * first) == (j < rank));
    }
    auto sorted = perm;
    std::sort(sorted.begin(), sorted.end());
    bool whole = true;
    for (std::size_t j = 0; j < sorted.size(); ++j)
        whole = whole && sorted[j] == static_cast<std::int32_t>(j);
    CHECK(whole);
}

template <class T>
void check_tsqr(index_t m, index_t n, bool col_major, bool in_place) {
    const double small = 200 * static_cast<double>(std::numeric_limits<T>::epsilon());
    auto a = sample<T>(m, n, n, col_major);
    const auto before = a.data;
    const MatrixView<const T> input{before.data(), m, n, a.view.row_stride, a.view.col_stride};
    Owned<T> other(m, n, false), r(n, n, true), alone(n, n, false);
    const MatrixView<T> q = in_place ? a.view : other.view;
    tsqr<T>(input, 0, MatrixView<T>{}, alone.view);
    tsqr<T>(a.view, 0, q, r.view);
    CHECK(orthonormality<T>(q) < small);
    CHECK(residual<T>(input, nullptr, q, r.view) < small);
    bool same = true;
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j) same = same && r.view(i, j) == alone.view(i, j);
    CHECK(same);
}

}  // namespace

TEST(pivoted_qr_for_all_shapes_blocks_and_ranks) {
    for (const index_t block : {1, 3, 8, 64}) {
        check_pivoted<double>(60, 40, 40, block);
        check_pivoted<double>(40, 60, 40, block);
        check_pivoted<double>(60, 40, 13, block);
        check_pivoted<double>(40, 60, 21, block);
        check_pivoted<float>(50, 50, 20, block);
        check_pivoted<double>(1, 5, 1, block);
        check_pivoted<double>(5, 1, 1, block);
    }
}

TEST(pivoted_qr_ends_where_it_is_told) {
    auto a = sample<double>(50, 40, 40, true);
    Owned<double> t(8, 40, true);
    std::vector<std::int32_t> perm(40);
    CHECK(blocked_pivoted_qr<double>(a.view, perm.data(), t.view, {8, 13, 0, 7}).columns == 13);
    CHECK(t.view(0, 13) == 0 && t.view(0, 12) != 0);
    auto low = sample<double>(50, 40, 5, true);
    const auto report =
        blocked_pivoted_qr<double>(low.view, perm.data(), t.view, {8, 40, 1e-20, 7});
    CHECK(report.columns == 8);
    Owned<double> zero(50, 40, true);
    std::fill(zero.data.begin(), zero.data.end(), 0.0);
    CHECK(blocked_pivoted_qr<double>(zero.view, perm.data(), t.view, {8, 40, 0, 7}).columns == 0);
    CHECK_THROWS(blocked_pivoted_qr<double>(zero.view.transposed(), perm.data(), t.view, {}),
                 Error);
}

TEST(tsqr_in_place_and_beside) {
    for (const bool in_place : {false, true}) {
        check_tsqr<double>(3, 3, false, in_place);
        check_tsqr<double>(900, 100, false, in_place);
        check_tsqr<float>(2000, 30, false, in_place);
    }
    check_tsqr<double>(900, 100, true, false);
    check_tsqr<float>(5000, 1, true, false);
}

TEST(preconditioning_reads_chosen_columns) {
    for (const bool col_major : {false, true}) {
        const auto a = sample<float>(300, 12, 12, col_major);
        const std::vector<std::int32_t> columns = {7, 0, 11};
        Owned<double> r(3, 3, false), inverse(3, 3, false), gram(3, 3, false);
        for (index_t i = 0; i < 3; ++i)
            for (index_t j = 0; j < 3; ++j) {
                r.view(i, j) = i == j ? 2 : j > i ? 1 : 99;  // what is below must not be read
                inverse.view(i, j) = i == j ? 0.5 : j == i + 1 ? -0.25 : j > i ? -0.125 : 99;
            }
        Owned<float> q(300, 3, false);
        for (const auto how : {Precondition::multiply, Precondition::solve}) {
            precondition<float>(a.view, columns.data(),
                                how == Precondition::solve ? r.view : inverse.view, how, q.view,
                                gram.view);
            double worst = 0, off = 0;
            for (index_t i = 0; i < 300; ++i)
                for (index_t j = 0; j < 3; ++j) {
                    double sum =
                        static_cast<double>(a.view(i, columns[static_cast<std::size_t>(j)]));
                    for (index_t k = 0; k <= j; ++k)
                        sum -= static_cast<double>(q.view(i, k)) * r.view(k, j);
                    worst = std::max(worst, std::abs(sum));
                }
            for (index_t i = 0; i < 3; ++i)
                for (index_t j = 0; j < 3; ++j) {
                    double sum = -gram.view(i, j);
                    for (index_t k = 0; k < 300; ++k)
                        sum +=
                            static_cast<double>(q.view(k, i)) * static_cast<double>(q.view(k, j));
                    off = std::max(off, std::abs(sum));
                }
            CHECK(worst < 1e-6);
            CHECK(off < 1e-4);
        }
        Owned<double> wrong(2, 2, false);
        CHECK_THROWS(precondition<float>(a.view, columns.data(), wrong.view, Precondition::solve,
                                         q.view, gram.view),
                     Error);
    }
}

TEST(powers_of_two_reach_everywhere) {
    Owned<double> a(5, 3, true), b(5, 3, false);
    for (double& x : a.data) x = 3;
    copy_scaled<double>(a.view, -1074, b.view);
    CHECK(b.view(4, 2) == 3 * std::numeric_limits<double>::denorm_min());
    copy_scaled<double>(b.view, 1074, a.view);
    CHECK(a.view(4, 2) == 3);
    scale_upper<double>(a.view, 2, 1000);
    CHECK(a.view(0, 0) == std::ldexp(3.0, 1000) && a.view(1, 0) == 3 && a.view(4, 1) == 3);
    CHECK(a.view(0, 2) == std::ldexp(3.0, 1000) && a.view(4, 2) == std::ldexp(3.0, 1000));
}
