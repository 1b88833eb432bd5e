// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/cholesky_batched.hpp"

#include <cmath>

#include "batched_registers.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

constexpr int tile = 4;

template <class T>
using Tile = Reg<T>[tile][tile];

// Rows of a tile that are summed at a time: those of all four, and what they meet, are more than
// sixteen registers.
constexpr int rows_at_once = register_count > 16 ? 4 : 2;

// Lower triangle by rows, one register an element.
template <class T>
Reg<T>* row(T* a, int i) {
    return reinterpret_cast<Reg<T>*>(a) + i * (i + 1) / 2;
}
template <class T>
const Reg<T>* row(const T* a, int i) {
    return reinterpret_cast<const Reg<T>*>(a) + i * (i + 1) / 2;
}

// body(Rows<r>, i0) for tiles of r rows from i0: constant counts let sums stay in registers.
template <int r>
struct Rows {
    static constexpr int count = r;
};
template <class Body>
void for_row_tiles(int n, const Body& body) {
    int i0 = 0;
    for (; i0 + tile <= n; i0 += tile) body(Rows<tile>{}, i0);
    if (n - i0 == 1) body(Rows<1>{}, i0);
    if (n - i0 == 2) body(Rows<2>{}, i0);
    if (n - i0 == 3) body(Rows<3>{}, i0);
}

// The first pivot that each lane has lost: 1 + its index, or 0.
template <class T>
struct Lost {
    typedef decltype(Reg<T>{} < Reg<T>{}) Flags;
    Flags first = {};

    // 1 / sqrt(pivot); a lane whose pivot is not positive and finite goes on with 1.
    Reg<T> inverse_root(Reg<T> pivot, int index) {
        const Flags sound = (pivot > Reg<T>{}) & (pivot < splat<T>(T(INFINITY)));
        first |= ~sound & (first == 0) & (Flags{} + (index + 1));
        const Reg<T> one = splat<T>(1);
        return one / root<T>(sound ? pivot : one);
    }

    void report(std::int32_t* info) const {
        for (int l = 0; l < Lanes<T>::width; ++l)
            if (info[l] == 0) info[l] = static_cast<std::int32_t>(first[l]);
    }
};

// sums (r x c) += or -= sum of left(i, p) right(j, p) over p from begin to end.
template <class T, int r, int c, bool add, int first = 0, class Left, class Right>
inline void accumulate(Tile<T>& sums, int begin, int end, const Left& left, const Right& right) {
    constexpr int rows = r - first < rows_at_once ? r - first : rows_at_once;
    Reg<T> sum[rows][c];
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < c; ++j) sum[i][j] = sums[first + i][j];
    for (int p = begin; p < end; ++p) {
        Reg<T> x[rows];
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) x[i] = left(first + i, p);
#pragma GCC unroll 4
        for (int j = 0; j < c; ++j) {
            const Reg<T> y = right(j, p);
#pragma GCC unroll 4
            for (int i = 0; i < rows; ++i)
                sum[i][j] = add ? add_product<T>(sum[i][j], x[i], y)
                                : subtract_product<T>(sum[i][j], x[i], y);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < c; ++j) sums[first + i][j] = sum[i][j];
    if constexpr (first + rows < r)
        accumulate<T, r, c, add, first + rows>(sums, begin, end, left, right);
}

// The Cholesky factor of a diagonal tile, reciprocals of the pivots on its diagonal.
template <class T, int r>
inline void factor_tile(Tile<T>& x, int index, Lost<T>& lost) {
#pragma GCC unroll 4
    for (int j = 0; j < r; ++j) {
        x[j][j] = lost.inverse_root(x[j][j], index + j);
#pragma GCC unroll 4
        for (int i = j + 1; i < r; ++i) x[i][j] *= x[j][j];
#pragma GCC unroll 4
        for (int i = j + 1; i < r; ++i)
#pragma GCC unroll 4
            for (int q = j + 1; q <= i; ++q)
                x[i][q] = subtract_product<T>(x[i][q], x[i][j], x[q][j]);
    }
}

// x := x D^-T, D the factored diagonal tile in columns j0, ... of the rows y.
template <class T, int r>
inline void solve_tile(Tile<T>& x, const Reg<T>* const (&y)[tile], int j0) {
#pragma GCC unroll 4
    for (int j = 0; j < tile; ++j)
#pragma GCC unroll 4
        for (int i = 0; i < r; ++i) {
            x[i][j] *= y[j][j0 + j];
#pragma GCC unroll 4
            for (int q = j + 1; q < tile; ++q)
                x[i][q] = subtract_product<T>(x[i][q], x[i][j], y[q][j0 + j]);
        }
}

// Tile (i0, j0) of the factor, of r rows and as many columns on the diagonal.
template <class T, int r, bool diagonal>
inline void factor_step(T* a, int i0, int j0, Lost<T>& lost) {
    constexpr int c = diagonal ? r : tile;
    Reg<T>* x[tile] = {};
    const Reg<T>* y[tile] = {};
    Tile<T> sums = {};
#pragma GCC unroll 4
    for (int i = 0; i < r; ++i) x[i] = row<T>(a, i0 + i);
#pragma GCC unroll 4
    for (int j = 0; j < c; ++j) y[j] = row<T>(a, j0 + j);
#pragma GCC unroll 4
    for (int i = 0; i < r; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < (diagonal ? i + 1 : c); ++j) sums[i][j] = x[i][j0 + j];
    accumulate<T, r, c, false>(
        sums, 0, j0, [&](int i, int p) { return x[i][p]; }, [&](int j, int p) { return y[j][p]; });
    if constexpr (diagonal)
        factor_tile<T, r>(sums, j0, lost);
    else
        solve_tile<T, r>(sums, y, j0);
#pragma GCC unroll 4
    for (int i = 0; i < r; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < (diagonal ? i + 1 : c); ++j) x[i][j0 + j] = sums[i][j];
}

// Left-looking by tiles of rows. Reciprocals of the pivots stay on the diagonal.
template <class T>
void factor(T* a, int n, std::int32_t* info) {
    Lost<T> lost;
    for_row_tiles(n, [&](auto rows, int i0) {
        constexpr int r = decltype(rows)::count;
        for (int j0 = 0; j0 < i0; j0 += tile) factor_step<T, r, false>(a, i0, j0, lost);
        factor_step<T, r, true>(a, i0, i0, lost);
    });
    lost.report(info);
}

// M = L^-1 over L, rows ascending, columns ascending: M(I, J) = -L(I, I)^-1 sum_K L(I, K) M(K, J)
// reads L(I, K) for K >= J only, and rows of M that are done.
template <class T, int r>
inline void invert_rows(T* a, int i0) {
    Reg<T>* x[tile] = {};
#pragma GCC unroll 4
    for (int i = 0; i < r; ++i) x[i] = row<T>(a, i0 + i);
    for (int j0 = 0; j0 < i0; j0 += tile) {
        Tile<T> sums = {};
        // The tile M(J, J) is a triangle.
#pragma GCC unroll 4
        for (int q = 0; q < tile; ++q) {
            const Reg<T>* const m = row<T>(a, j0 + q) + j0;
#pragma GCC unroll 4
            for (int i = 0; i < r; ++i)
#pragma GCC unroll 4
                for (int j = 0; j <= q; ++j)
                    sums[i][j] = subtract_product<T>(sums[i][j], x[i][j0 + q], m[j]);
        }
        accumulate<T, r, tile, false>(
            sums, j0 + tile, i0, [&](int i, int p) { return x[i][p]; },
            [&](int j, int p) { return row<T>(a, p)[j0 + j]; });
#pragma GCC unroll 4
        for (int i = 0; i < r; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < tile; ++j) {
                Reg<T> v = sums[i][j];
#pragma GCC unroll 4
                for (int q = 0; q < i; ++q) v = subtract_product<T>(v, x[i][i0 + q], sums[q][j]);
                x[i][j0 + j] = sums[i][j] = v * x[i][i0 + i];
            }
    }
    for (int i = 0; i < r; ++i)
        for (int j = 0; j < i; ++j) {
            Reg<T> v = {};
            for (int q = j; q < i; ++q) v = subtract_product<T>(v, x[i][i0 + q], x[q][i0 + j]);
            x[i][i0 + j] = v * x[i][i0 + i];
        }
}

// M^T M over M, rows ascending: entry (i, j), j <= i, sums over the rows k >= i of M.
template <class T, int r, bool diagonal>
inline void square_step(T* a, int n, int i0, int j0) {
    constexpr int c = diagonal ? r : tile;
    Tile<T> sums = {};
#pragma GCC unroll 4
    for (int q = 0; q < r; ++q) {
        const Reg<T>* const m = row<T>(a, i0 + q);
#pragma GCC unroll 4
        for (int i = 0; i <= q; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < (diagonal ? i + 1 : c); ++j)
                sums[i][j] = add_product<T>(sums[i][j], m[i0 + i], m[j0 + j]);
    }
    // Rows below a ragged tile do not exist: it is the last.
    if constexpr (r == tile)
        accumulate<T, r, c, true>(
            sums, i0 + r, n, [&](int i, int p) { return row<T>(a, p)[i0 + i]; },
            [&](int j, int p) { return row<T>(a, p)[j0 + j]; });
#pragma GCC unroll 4
    for (int i = 0; i < r; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < (diagonal ? i + 1 : c); ++j) row<T>(a, i0 + i)[j0 + j] = sums[i][j];
}

template <class T>
void cholesky(T* a, int n, std::int32_t* info) {
    factor<T>(a, n, info);
    for (int i = 0; i < n; ++i) row<T>(a, i)[i] = splat<T>(1) / row<T>(a, i)[i];
}

template <class T>
void invert(T* a, int n, std::int32_t* info) {
    factor<T>(a, n, info);
    for_row_tiles(n, [&](auto rows, int i0) { invert_rows<T, decltype(rows)::count>(a, i0); });
    for_row_tiles(n, [&](auto rows, int i0) {
        constexpr int r = decltype(rows)::count;
        for (int j0 = 0; j0 < i0; j0 += tile) square_step<T, r, false>(a, n, i0, j0);
        square_step<T, r, true>(a, n, i0, i0);
    });
}

template <class T>
void solve(T* a, int n, std::int32_t* info, T* b, index_t k) {
    factor<T>(a, n, info);
    Reg<T>* const x = reinterpret_cast<Reg<T>*>(b);
    for (int i = 0; i < n; ++i) {
        const Reg<T>* const l = row<T>(a, i);
        for (int p = 0; p < i; ++p)
            for (index_t j = 0; j < k; ++j)
                x[i * k + j] = subtract_product<T>(x[i * k + j], l[p], x[p * k + j]);
        for (index_t j = 0; j < k; ++j) x[i * k + j] *= l[i];
    }
    for (int i = n - 1; i >= 0; --i) {
        const Reg<T>* const l = row<T>(a, i);
        for (index_t j = 0; j < k; ++j) x[i * k + j] *= l[i];
        for (int p = 0; p < i; ++p)
            for (index_t j = 0; j < k; ++j)
                x[p * k + j] = subtract_product<T>(x[p * k + j], l[p], x[i * k + j]);
    }
}

}  // namespace

extern const BatchedKernels batched_kernels;
const BatchedKernels batched_kernels = {
    Lanes<float>::width,    Lanes<double>::width,    cholesky<float>,        cholesky<double>,
    invert<float>,          invert<double>,          solve<float>,           solve<double>,
    gather<float, float>,   gather<float, double>,   gather<double, double>, scatter<float, float>,
    scatter<float, double>, scatter<double, double>,
};

}  // namespace randnla::RANDNLA_ISA
