// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "check.hpp"
#include "randnla/cholesky_batched.hpp"
#include "randnla/kron.hpp"
#include "randnla/least_squares.hpp"
#include "randnla/sketch_sparse.hpp"
#include "randnla/symmetric_eigh.hpp"
#include "randnla/threads.hpp"
#include "randnla/woodbury.hpp"

// Kernels at sizes that a team shares: the bits of one member from two to four. Under the thread
// sanitizer these are the calls in which members could meet.
using namespace randnla;

namespace {

template <class T>
std::vector<T> numbers(index_t count) {
    std::vector<T> made(static_cast<std::size_t>(count));
    for (index_t i = 0; i < count; ++i)
        made[static_cast<std::size_t>(i)] = static_cast<T>(std::cos(double(i) * double(i % 97)));
    return made;
}

template <class T>
double largest_difference(const std::vector<T>& a, const std::vector<T>& b) {
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double apart = std::fabs(double(a[i]) - double(b[i]));
        if (!(apart <= largest)) largest = std::isnan(apart) ? INFINITY : apart;
    }
    return largest;
}

// `rounding` is relative to the largest entry: 0 but for products that the BLAS cuts by the team.
template <class T>
void same_on_teams(const std::function<std::vector<T>()>& call, double rounding = 0) {
    set_num_threads(1);
    const auto alone = call();
    const double bound = rounding * largest_difference(alone, std::vector<T>(alone.size()));
    for (const int members : {2, 3, 4}) {
        set_num_threads(members);
        const auto shared = call();
        CHECK(shared.size() == alone.size() && largest_difference(shared, alone) <= bound);
    }
    set_num_threads(0);
}

template <class T>
void windows(index_t m, index_t k, index_t d) {
    const auto g = numbers<T>(m * d), x = numbers<T>(k * d);
    const auto c = numbers<double>(m * k);
    const auto rows = row_major_view(g.data(), m, d), sides = row_major_view(x.data(), k, d);
    same_on_teams<double>([&] {
        std::vector<double> out(static_cast<std::size_t>(m * k));
        window_dots<T, T>(rows, sides, row_major_view(out.data(), m, k));
        return out;
    });
    same_on_teams<T>([&] {
        std::vector<T> out(static_cast<std::size_t>(k * d));
        window_combine<T, T>(rows, row_major_view(c.data(), m, k), 0.5, sides,
                             row_major_view(out.data(), k, d));
        return out;
    });
}

// Entries of at most one, and n on the diagonal.
template <class T>
std::vector<T> dominant(index_t count, index_t n) {
    auto a = numbers<T>(count * n * n);
    for (index_t m = 0; m < count; ++m)
        for (index_t i = 0; i < n; ++i)
            for (index_t j = 0; j <= i; ++j) {
                T* const at = a.data() + m * n * n;
                at[j * n + i] = at[i * n + j] += i == j ? T(2 * n) : T(0);
            }
    return a;
}

template <class T>
void batches(index_t count, index_t n) {
    const auto a = dominant<T>(count, n), b = numbers<T>(count * n * 3);
    const BatchView<const T> in{a.data(), count, n, n, n * n, n, 1};
    const double shift = 0.5;
    std::vector<std::int32_t> info(static_cast<std::size_t>(count));
    same_on_teams<T>([&] {
        std::vector<T> out(a.size());
        batched_cholesky<T, double>(in, &shift, 0, {out.data(), count, n, n, n * n, n, 1},
                                    info.data());
        return out;
    });
    same_on_teams<T>([&] {
        std::vector<T> out(a.size());
        batched_inverse<T, double>(in, &shift, 0, {out.data(), count, n, n, n * n, n, 1},
                                   info.data());
        return out;
    });
    same_on_teams<T>([&] {
        std::vector<T> out(b.size());
        batched_solve<T, double>(in, &shift, 0, {b.data(), count, n, 3, n * 3, 3, 1},
                                 {out.data(), count, n, 3, n * 3, 3, 1}, info.data());
        return out;
    });
    CHECK(info == std::vector<std::int32_t>(info.size(), 0));
}

template <class T>
void kroneckers(index_t m, index_t r, index_t n, index_t s) {
    const auto left = numbers<T>(m * r), right = numbers<T>(n * s), v = numbers<T>(3 * m * n);
    const auto lv = std::vector<double>(static_cast<std::size_t>(r + 1), 1.5);
    const auto rv = std::vector<double>(static_cast<std::size_t>(s + 1), 0.75);
    const KronSpectrum spectrum{lv.data(), rv.data(), 0.5, 2.0, KronFunction::inverse};
    const KronBasis<T> p{row_major_view(left.data(), m, r), m, r < m},
        q{row_major_view(right.data(), n, s), n, s < n};
    same_on_teams<T>(
        [&] {
            std::vector<T> x(v.size());
            kron_apply_batch<T>(p, q, spectrum, {v.data(), 3, m, n, m * n, n, 1},
                                {x.data(), 3, m, n, m * n, n, 1});
            return x;
        },
        16 * double(std::numeric_limits<T>::epsilon()));
}

template <class T>
void eigenvectors(index_t n) {
    const auto a = dominant<T>(1, n);
    same_on_teams<T>([&] {
        auto both = a;
        both.resize(a.size() + static_cast<std::size_t>(n));
        CHECK(symmetric_eigh<T>(row_major_view(both.data(), n, n), both.data() + n * n) == 0);
        return both;
    });
}

template <class T>
void single_nonzeros(index_t d, index_t m, index_t n) {
    const auto a = numbers<T>(m * n);
    const auto map = countsketch_map(7, 1, d, 8 * sizeof(T));
    same_on_teams<T>([&] {
        std::vector<T> out(static_cast<std::size_t>(d * n));
        apply_sparse_map<T>(map, 0, 0, T(1), row_major_view(a.data(), m, n),
                            row_major_view(out.data(), d, n));
        return out;
    });
}

template <class T>
void gathered(index_t m, index_t d) {
    const auto a = numbers<T>(m * d), x = numbers<T>(d);
    const auto c = numbers<double>(m);
    std::vector<index_t> index(c.size());
    for (index_t k = 0; k < m; ++k) index[static_cast<std::size_t>(k)] = k * k % m;
    const auto rows = row_major_view(a.data(), m, d);
    same_on_teams<double>([&] {
        std::vector<double> out(static_cast<std::size_t>(m + d));
        gathered_dots<T>(rows, index.data(), m, x.data(), out.data());
        gathered_combine<T>(rows, index.data(), m, c.data(), out.data() + m);
        return out;
    });
}

template <class T>
void sweeps(index_t m, index_t n, index_t k) {
    const auto a = numbers<T>(m * n);
    const auto b = numbers<double>(m * k), x = numbers<double>(n * k), p = numbers<double>(n * n);
    for (const bool upper : {false, true})
        same_on_teams<double>([&] {
            std::vector<double> out(static_cast<std::size_t>(2 * n * n + (n + m + 1) * k));
            double* const r = out.data() + 2 * n * n;
            const ResidualSums sums{row_major_view(b.data(), m, k), row_major_view(x.data(), n, k),
                                    row_major_view(r, m, k), row_major_view(r + m * k, n, k),
                                    r + (m + n) * k};
            const auto rows = row_major_view(a.data(), m, n);
            sweep_gram<T>(rows, sums, row_major_view(out.data(), n, n));
            sweep_preconditioned<T>(rows, sums, row_major_view(p.data(), n, n), upper,
                                    row_major_view(out.data() + n * n, n, n));
            return out;
        });
}

template <class T>
void all() {
    windows<T>(20, 1, 150000);
    windows<T>(20, 5, 40000);
    for (const index_t n : {3, 16, 70}) batches<T>(n < 20 ? 400 : 24, n);
    kroneckers<T>(130, 130, 90, 90);
    kroneckers<T>(300, 20, 200, 15);
    eigenvectors<T>(150);
    single_nonzeros<T>(200, 5000, 300);
    single_nonzeros<T>(64, 20000, 40);
    gathered<T>(37, 30000);
    sweeps<T>(7001, 30, 1);
    sweeps<T>(7001, 30, 3);
}

}  // namespace

TEST(teams_share_float) {
    all<float>();
}
TEST(teams_share_double) {
    all<double>();
}
