// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <cstring>
#include <vector>

#include "check.hpp"
#include "randnla/kron.hpp"
#include "randnla/woodbury.hpp"

using namespace randnla;

namespace {

// Columns of the orthonormal cosine basis of order n.
template <class T>
std::vector<T> cosines(index_t n, index_t r) {
    const double pi = std::acos(-1.0);
    std::vector<T> basis(static_cast<std::size_t>(n * r));
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < r; ++j)
            basis[static_cast<std::size_t>(i * r + j)] =
                static_cast<T>(std::sqrt((j == 0 ? 1.0 : 2.0) / double(n)) *
                               std::cos(pi * double(j) * (double(i) + 0.5) / double(n)));
    return basis;
}

double eigenvalue(index_t i, index_t r) {
    return i < r ? 1.0 + double(i) : 0.25;  // 0.25 on the complement
}

// The largest error of the inverse on products of basis vectors, of which it knows the result.
template <class T>
double worst_error(index_t m, index_t r, index_t n, index_t s) {
    const auto whole_left = cosines<T>(m, m), whole_right = cosines<T>(n, n);
    const auto left = cosines<T>(m, r), right = cosines<T>(n, s);
    std::vector<double> lv, rv;
    for (index_t i = 0; i < r + (r < m); ++i) lv.push_back(eigenvalue(i, r));
    for (index_t j = 0; j < s + (s < n); ++j) rv.push_back(eigenvalue(j, s));
    const KronSpectrum spectrum{lv.data(), rv.data(), 0.5, 2.0, KronFunction::inverse};
    const KronBasis<T> p{row_major_view(left.data(), m, r), m, r < m},
        q{row_major_view(right.data(), n, s), n, s < n};
    std::vector<T> v(static_cast<std::size_t>(m * n)), x(v.size());
    double worst = 0;
    for (const index_t i : {index_t{0}, r - 1, m - 1})
        for (const index_t j : {index_t{0}, s - 1, n - 1}) {
            for (index_t a = 0; a < m; ++a)
                for (index_t b = 0; b < n; ++b)
                    v[static_cast<std::size_t>(a * n + b)] =
                        whole_left[static_cast<std::size_t>(a * m + i)] *
                        whole_right[static_cast<std::size_t>(b * n + j)];
            kron_apply<T>(p, q, spectrum, row_major_view<const T>(v.data(), m, n),
                          row_major_view(x.data(), m, n));
            const double f = 2.0 / (eigenvalue(i, r) * eigenvalue(j, s) + 0.5);
            for (std::size_t k = 0; k < v.size(); ++k)
                worst = std::fmax(worst, std::fabs(double(x[k]) - f * double(v[k])));
        }
    return worst;
}

}  // namespace

TEST(kron_inverse_is_right_on_eigenvectors) {
    for (const index_t r : {3, 12, 20})
        for (const index_t s : {2, 9, 17}) {
            CHECK(worst_error<double>(20, r, 17, s) < 1e-14);
            CHECK(worst_error<float>(20, r, 17, s) < 1e-5);
        }
}

TEST(window_products_of_integers_are_exact) {
    // Odd sizes leave remainders of rows, vectors, slabs; integers make every order exact.
    for (const index_t m : {1, 7, 13})
        for (const index_t d : {1, 37, 70001}) {
            const index_t k = 2;
            std::vector<float> g(static_cast<std::size_t>(m * d)),
                x(static_cast<std::size_t>(k * d)), y(x.size());
            for (std::size_t i = 0; i < g.size(); ++i) g[i] = static_cast<float>(int(i % 11) - 5);
            for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(int(i % 7) - 3);
            std::vector<double> c(static_cast<std::size_t>(m * k));
            const auto gv = row_major_view<const float>(g.data(), m, d);
            const auto xv = row_major_view<const float>(x.data(), k, d);
            window_dots<float>(gv, xv, row_major_view(c.data(), m, k));
            bool dots = true, sums = true;
            for (index_t i = 0; i < m; ++i)
                for (index_t q = 0; q < k; ++q) {
                    double exact = 0;
                    for (index_t j = 0; j < d; ++j) exact += double(gv(i, j)) * double(xv(q, j));
                    dots = dots && exact == c[static_cast<std::size_t>(i * k + q)];
                    c[static_cast<std::size_t>(i * k + q)] = double(i + 2 * q);
                }
            window_combine<float>(gv, row_major_view<const double>(c.data(), m, k), 3.0, xv,
                                  row_major_view(y.data(), k, d));
            for (index_t q = 0; q < k; ++q)
                for (index_t j = 0; j < d; ++j) {
                    double exact = 3.0 * double(xv(q, j));
                    for (index_t i = 0; i < m; ++i) exact += double(i + 2 * q) * double(gv(i, j));
                    sums = sums && exact == double(y[static_cast<std::size_t>(q * d + j)]);
                }
            CHECK(dots);
            CHECK(sums);
        }
}

TEST(narrow_windows_hold_integers_exactly) {
    // Integers below 2^8 are exact in both formats, so that sums are those of the float32 window.
    for (const index_t m : {1, 5, 13})
        for (const index_t d : {1, 37, 70001}) {
            const auto size = static_cast<std::size_t>(m * d);
            std::vector<float> g(size), x(static_cast<std::size_t>(d)), y(x.size()), z(x.size());
            std::vector<Half> half(size);
            std::vector<Brain> brain(size);
            for (std::size_t i = 0; i < size; ++i) {
                const int n = int(i % 11) - 5;
                // Every other row is of multiples of 2^-24, the least subnormal number.
                const bool tiny = i / static_cast<std::size_t>(d) % 2 == 1;
                constexpr std::uint16_t small[6] = {0, 0x3C00, 0x4000, 0x4200, 0x4400, 0x4500};
                const int digits = n < 0 ? -n : n;
                const unsigned sign = n < 0 ? 0x8000u : 0u;
                half[i].bits = static_cast<std::uint16_t>(
                    (tiny ? static_cast<unsigned>(digits) : unsigned{small[digits]}) | sign);
                g[i] = static_cast<float>(n) * (tiny ? 0x1p-24F : 1.0F);
                std::uint32_t bits;
                std::memcpy(&bits, &g[i], sizeof bits);
                brain[i].bits = static_cast<std::uint16_t>(bits >> 16);
            }
            for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(int(i % 7) - 3);
            const auto xv = row_major_view<const float>(x.data(), 1, d);
            const auto gv = row_major_view<const float>(g.data(), m, d);
            std::vector<double> wide(static_cast<std::size_t>(m)), narrow(wide.size());
            window_dots<float>(gv, xv, row_major_view(wide.data(), m, 1));
            const auto cv = row_major_view<const double>(wide.data(), m, 1);
            window_combine<float>(gv, cv, 3.0, xv, row_major_view(y.data(), 1, d));
            const auto same = [&](auto view) {
                window_dots(view, xv, row_major_view(narrow.data(), m, 1));
                window_combine(view, cv, 3.0, xv, row_major_view(z.data(), 1, d));
                return narrow == wide && y == z;
            };
            CHECK(same(row_major_view<const Half>(half.data(), m, d)));
            CHECK(same(row_major_view<const Brain>(brain.data(), m, d)));
        }
}
