// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <vector>

#include "check.hpp"
#include "randnla/cholesky_batched.hpp"

using namespace randnla;

namespace {

// Diagonally dominant matrices, a different one in every place.
template <class T>
std::vector<T> dominant(index_t count, index_t n) {
    std::vector<T> a(static_cast<std::size_t>(count * n * n));
    for (index_t m = 0; m < count; ++m)
        for (index_t i = 0; i < n; ++i)
            for (index_t j = 0; j < n; ++j)
                a[static_cast<std::size_t>((m * n + i) * n + j)] =
                    i == j ? static_cast<T>(n + m % 5) : static_cast<T>(1.0 / double(1 + i + j));
    return a;
}

template <class T, class Work>
double worst_residual(index_t count, index_t n) {
    const auto a = dominant<T>(count, n);
    std::vector<T> x(a.size());
    std::vector<std::int32_t> info(static_cast<std::size_t>(count), -1);
    const double shift = 0.25;
    batched_inverse<T, Work>({a.data(), count, n, n, n * n, n, 1}, &shift, 0,
                             {x.data(), count, n, n, n * n, n, 1}, info.data());
    double worst = 0;
    for (index_t m = 0; m < count; ++m) {
        if (info[static_cast<std::size_t>(m)] != 0) return INFINITY;
        const T* const am = a.data() + m * n * n;
        const T* const xm = x.data() + m * n * n;
        for (index_t i = 0; i < n; ++i)
            for (index_t j = 0; j < n; ++j) {
                double sum = shift * double(xm[i * n + j]);
                for (index_t k = 0; k < n; ++k)
                    sum += double(am[i * n + k]) * double(xm[k * n + j]);
                worst = std::max(worst, std::abs(sum - double(i == j)));
            }
    }
    return worst;
}

}  // namespace

TEST(batched_inverses_of_every_order_and_width) {
    for (const index_t n : {1, 2, 4, 5, 7, 16, 33, 165})
        for (const index_t count : {1, 3, 16, 17, 40}) {
            if (n > 100 && count > 3) continue;
            CHECK((worst_residual<float, float>(count, n)) < 1e-5);
            CHECK((worst_residual<float, double>(count, n)) < 1e-6);
            CHECK((worst_residual<double, double>(count, n)) < 1e-13);
        }
}

TEST(batched_failures_are_reported_by_matrix) {
    auto a = dominant<double>(20, 5);
    a[25 * 7 + 6] = -1;  // matrix 7, pivot 1
    std::vector<double> x(a.size());
    std::vector<std::int32_t> info(20, -1);
    const double shift = 0;
    batched_cholesky<double, double>({a.data(), 20, 5, 5, 25, 5, 1}, &shift, 0,
                                     {x.data(), 20, 5, 5, 25, 5, 1}, info.data());
    for (std::size_t m = 0; m < 20; ++m) CHECK(info[m] == (m == 7 ? 2 : 0));
    CHECK(std::isnan(x[25 * 7]));
    CHECK(std::isfinite(x[25 * 6]));
}
