// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "randnla/error.hpp"
#include "randnla/kernel_tiles.hpp"

using namespace randnla;

namespace {

constexpr RadialKind kinds[] = {RadialKind::gaussian, RadialKind::laplace, RadialKind::matern32,
                                RadialKind::matern52};

double radial(RadialKind kind, double r) {
    if (kind == RadialKind::gaussian) return std::exp(-r * r / 2);
    if (kind == RadialKind::laplace) return std::exp(-r);
    const double s = std::sqrt(kind == RadialKind::matern32 ? 3.0 : 5.0) * r;
    return (1 + s + (kind == RadialKind::matern52 ? s * s / 3 : 0)) * std::exp(-s);
}

template <class T>
std::vector<T> points(index_t n, index_t dim) {
    std::vector<T> x(static_cast<std::size_t>(n * dim));
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<T>(static_cast<double>(i * 7919 % 1009) / 500.0);
    return x;
}

// Storage of exactly the span, so that a sanitizer sees every access outside.
template <class T>
double worst(RadialKind kind, index_t m, index_t n, index_t dim, bool by_columns) {
    const auto x = points<T>(m, dim), y = points<T>(n, dim);
    std::vector<T> out(static_cast<std::size_t>(m * n), std::numeric_limits<T>::quiet_NaN());
    auto view = by_columns ? row_major_view(out.data(), n, m).transposed()
                           : row_major_view(out.data(), m, n);
    kernel_block<T>({kind, 1.7}, row_major_view(x.data(), m, dim), row_major_view(y.data(), n, dim),
                    view);
    double error = 0;
    for (index_t i = 0; i < m; ++i)
        for (index_t j = 0; j < n; ++j) {
            double squares = 0;
            for (index_t p = 0; p < dim; ++p) {
                const double d = static_cast<double>(x[static_cast<std::size_t>(i * dim + p)]) -
                                 static_cast<double>(y[static_cast<std::size_t>(j * dim + p)]);
                squares += d * d;
            }
            const double exact = radial(kind, std::sqrt(squares) / 1.7);
            const double off = std::abs(static_cast<double>(view(i, j)) - exact) / exact;
            error = std::isnan(off) ? off : std::max(error, off);
        }
    return error;
}

}  // namespace

TEST(kernel_blocks_of_every_shape) {
    for (const RadialKind kind : kinds)
        for (const index_t m : {1, 5, 130})
            for (const index_t n : {1, 17, 300})
                for (const index_t dim : {1, 6}) {
                    CHECK(worst<double>(kind, m, n, dim, m == 5) < 1e-14);
                    CHECK(worst<float>(kind, m, n, dim, m == 5) < 1e-5);
                }
}

TEST(kernel_products_are_those_of_the_block) {
    const index_t m = 300, n = 530, dim = 3, k = 7;
    const auto x = points<double>(m, dim), y = points<double>(n, dim), v = points<double>(n, k);
    std::vector<double> block(static_cast<std::size_t>(m * n)),
        out(static_cast<std::size_t>(m * k));
    const RadialKernel kernel{RadialKind::matern32, 0.8};
    const auto xv = row_major_view(x.data(), m, dim), yv = row_major_view(y.data(), n, dim);
    kernel_block<double>(kernel, xv, yv, row_major_view(block.data(), m, n));
    kernel_product<double>(kernel, xv, yv, row_major_view(v.data(), n, k),
                           row_major_view(out.data(), m, k));
    bool close = true;
    for (index_t i = 0; i < m; ++i)
        for (index_t q = 0; q < k; ++q) {
            double sum = 0;
            for (index_t j = 0; j < n; ++j)
                sum += block[static_cast<std::size_t>(i * n + j)] *
                       v[static_cast<std::size_t>(j * k + q)];
            close = close && std::abs(sum - out[static_cast<std::size_t>(i * k + q)]) < 1e-10;
        }
    CHECK(close);
}

TEST(kernel_limits) {
    const double inf = std::numeric_limits<double>::infinity();
    const double x[] = {0.0, 1e200, -1e200}, y[] = {0.0};
    for (const RadialKind kind : kinds) {
        double out[3] = {};
        kernel_block<double>({kind, 1.0}, row_major_view(x, 3, 1), row_major_view(y, 1, 1),
                             row_major_view(out, 3, 1));
        CHECK(out[0] == 1.0 && out[1] == 0.0 && out[2] == 0.0);
    }
    double out[1];
    for (const double h : {0.0, -1.0, inf})
        CHECK_THROWS(kernel_block<double>({RadialKind::gaussian, h}, row_major_view(x, 1, 1),
                                          row_major_view(y, 1, 1), row_major_view(out, 1, 1)),
                     Error);
}
