// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <vector>

#include "check.hpp"
#include "randnla/mini_blocks.hpp"

using namespace randnla;

namespace {

template <class T>
struct Problem {
    index_t count, n;
    std::vector<T> x, held;

    Problem(index_t blocks, index_t order)
        : count(blocks),
          n(order),
          x(static_cast<std::size_t>(blocks * order)),
          held(static_cast<std::size_t>(size())) {
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<T>(std::sin(double(3 * i + 1)));
    }
    index_t size() const {
        return (count + block_lanes - 1) / block_lanes * block_lanes * n * (n + 1) / 2;
    }
    MatrixView<const T> rows() const { return {x.data(), count, n, n, 1}; }
    T entry(const std::vector<T>& a, index_t m, index_t i, index_t j) const {
        if (j > i) std::swap(i, j);
        const index_t vector = m / block_lanes * (n * (n + 1) / 2) + i * (i + 1) / 2 + j;
        return a[static_cast<std::size_t>(vector * block_lanes + m % block_lanes)];
    }
};

// Two averages, an inverse and a direction against the same in doubles; the worst difference.
template <class T, class Work>
double worst(index_t count, index_t n) {
    Problem<T> p(count, n);
    mini_blocks_average<T>({p.held.data(), count, n}, p.rows(), 2.0, 0.0, 0.5);
    mini_blocks_average<T>({p.held.data(), count, n}, p.rows(), 1.0, 0.25, 0.5);
    double error = 0;
    for (index_t m = 0; m < count; ++m)
        for (index_t i = 0; i < n; ++i)
            for (index_t j = 0; j <= i; ++j) {
                const double wanted = double(p.rows()(m, i)) * double(p.rows()(m, j));
                error = std::max(error, std::abs(double(p.entry(p.held, m, i, j)) - wanted));
            }
    std::vector<T> inverse(p.held.size());
    const auto failed = mini_blocks_invert<T, Work>({p.held.data(), count, n}, 1.0, 1.0,
                                                    {inverse.data(), count, n});
    if (failed != 0) return INFINITY;
    // (x x^T + I)^-1 x = x / (1 + x^T x), and the momentum is x / 2.
    std::vector<T> momentum(p.x), out(p.x.size());
    const MatrixView<T> m{momentum.data(), count, n, n, 1}, y{out.data(), count, n, n, 1};
    const bool finite =
        mini_blocks_direct<T>({inverse.data(), count, n}, p.rows(), m, 0.25, 0.25, 2.0, y);
    if (!finite) return INFINITY;
    for (index_t b = 0; b < count; ++b) {
        double square = 0;
        for (index_t i = 0; i < n; ++i) square += double(p.rows()(b, i)) * double(p.rows()(b, i));
        for (index_t i = 0; i < n; ++i) {
            const double wanted = double(p.rows()(b, i)) / (1 + square);
            error = std::max(error, std::abs(double(y(b, i)) - wanted));
        }
    }
    std::vector<T> again(p.x.size());
    mini_blocks_apply<T>({inverse.data(), count, n}, m, {again.data(), count, n, n, 1});
    for (std::size_t i = 0; i < out.size(); ++i)
        error = std::max(error, std::abs(double(out[i]) - 2 * double(again[i])));
    return error;
}

}  // namespace

TEST(mini_blocks_agree_with_the_closed_form) {
    for (const index_t n : {1, 2, 4, 5, 9, 10, 25, 33})
        for (const index_t count : {1, 3, 16, 17, 100}) {
            CHECK((worst<float, float>(count, n)) < 2e-5);
            CHECK((worst<float, double>(count, n)) < 2e-5);
            CHECK((worst<double, double>(count, n)) < 1e-13);
        }
}

TEST(mini_blocks_report_what_is_singular_and_what_overflows) {
    Problem<float> p(20, 9);
    std::vector<float> inverse(p.held.size());
    CHECK((mini_blocks_invert<float, float>({p.held.data(), 20, 9}, 1.0, 0.0,
                                            {inverse.data(), 20, 9})) == 20);
    CHECK((mini_blocks_invert<float, double>({p.held.data(), 20, 9}, 1.0, 1e-39,
                                             {inverse.data(), 20, 9})) == 20);
    CHECK((mini_blocks_invert<float, float>({p.held.data(), 20, 9}, 1.0, 1e-30,
                                            {inverse.data(), 20, 9})) == 0);
    std::vector<float> momentum(p.x.size()), out(p.x.size());
    const MatrixView<float> m{momentum.data(), 20, 9, 9, 1}, y{out.data(), 20, 9, 9, 1};
    CHECK(mini_blocks_direct<float>({inverse.data(), 20, 9}, p.rows(), m, 0.0, 1.0, 1.0, y));
    CHECK(!mini_blocks_direct<float>({inverse.data(), 20, 9}, p.rows(), m, 0.0, 1e9, 1.0, y));
}

TEST(mini_blocks_take_rows_of_any_stride_and_none) {
    Problem<double> p(6, 4);
    std::vector<double> held(p.held.size());
    const MatrixView<const double> every_other{p.x.data(), 3, 4, 8, 1};
    mini_blocks_average<double>({held.data(), 3, 4}, every_other, 1.0, 0.0, 1.0);
    CHECK(p.entry(held, 1, 2, 1) == p.x[10] * p.x[9]);
    mini_blocks_average<double>({held.data(), 0, 4}, {p.x.data(), 0, 4, 4, 1}, 1.0, 0.0, 1.0);
}
