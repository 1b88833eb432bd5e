// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sampled_product.hpp"

#include "randnla/error.hpp"
#include "randnla/threads.hpp"

namespace randnla {
namespace {

// Eight sums side by side: the latency of additions would be most of a single one.
template <class T>
T dot(const T* a, const T* b, index_t n) {
    constexpr int width = 8;
    T sum[width] = {};
    index_t c = 0;
    for (; c + width <= n; c += width)
        for (int l = 0; l < width; ++l) sum[l] += a[c + l] * b[c + l];
    for (int l = 0; c + l < n; ++l) sum[l] += a[c + l] * b[c + l];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

}  // namespace

template <class I, class T>
void csr_sampled_product(CsrView<I, T> pattern, MatrixView<const T> l, MatrixView<const T> r,
                         T* out) {
    require(l.rows == pattern.rows && r.rows == pattern.cols && l.cols == r.cols,
            "sampled product: shapes of the factors do not fit the pattern");
    require(l.row_major() && r.row_major(), "sampled product: expected factors in C order");
    // A product of some tens of microseconds is not worth a team.
    constexpr index_t worth_a_team = index_t{1} << 17, rows_a_check = 256;
    const int members = pattern.nnz * (l.cols + 4) < worth_a_team ? 1 : num_threads();
    parallel_team(
        [&](Team& team) {
            const auto [begin, end] = team.share(pattern.rows);
            for (index_t i = begin; i < end; ++i) {
                if ((i - begin) % rows_a_check == 0) team.checkpoint();
                for (index_t k = pattern.indptr[i]; k < pattern.indptr[i + 1]; ++k) {
                    const auto j = static_cast<index_t>(pattern.indices[k]);
                    out[k] = dot<T>(l.data + i * l.row_stride, r.data + j * r.row_stride, l.cols);
                }
            }
        },
        members);
}

#define RANDNLA_INSTANTIATE(I, T)                                               \
    template void csr_sampled_product<I, T>(CsrView<I, T>, MatrixView<const T>, \
                                            MatrixView<const T>, T*);
RANDNLA_INSTANTIATE(std::int32_t, float)
RANDNLA_INSTANTIATE(std::int32_t, double)
RANDNLA_INSTANTIATE(std::int64_t, float)
RANDNLA_INSTANTIATE(std::int64_t, double)

}  // namespace randnla
