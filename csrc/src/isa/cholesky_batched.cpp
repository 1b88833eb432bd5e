// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/cholesky_batched.hpp"

#include <cmath>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif

template <class T>
struct Lanes {
    static constexpr int width = register_bytes / static_cast<int>(sizeof(T));
    typedef T Reg __attribute__((vector_size(register_bytes), may_alias));
};
template <class T>
using Reg = typename Lanes<T>::Reg;

// c - a b, fused where the level has it (the files of this folder are compiled without
// contraction).
template <class T>
Reg<T> subtract_product(Reg<T> c, Reg<T> a, Reg<T> b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_fnmadd_ps(a, b, c);
    else
        return _mm512_fnmadd_pd(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
    if constexpr (sizeof(T) == 4)
        return _mm256_fnmadd_ps(a, b, c);
    else
        return _mm256_fnmadd_pd(a, b, c);
#else
    return c - a * b;
#endif
}

constexpr int tile = 4;

// Lower triangle by rows, one register an element.
template <class T>
Reg<T>* row(T* a, int i) {
    return reinterpret_cast<Reg<T>*>(a) + i * (i + 1) / 2;
}
template <class T>
const Reg<T>* row(const T* a, int i) {
    return reinterpret_cast<const Reg<T>*>(a) + i * (i + 1) / 2;
}

template <class T>
Reg<T> splat(T x) {
    return Reg<T>{} + x;
}

// 1 / sqrt(pivot); lanes whose pivot is not positive (or NaN) are reported and go on with 1.
template <class T>
Reg<T> inverse_root(Reg<T> pivot, int index, std::int32_t* info) {
    Reg<T> out = splat<T>(1);
    for (int l = 0; l < Lanes<T>::width; ++l) {
        if (pivot[l] > T(0) && pivot[l] < T(INFINITY))
            out[l] = T(1) / std::sqrt(pivot[l]);
        else if (info[l] == 0)
            info[l] = index + 1;
    }
    return out;
}

// acc (r x c) -= X Y^T over k columns, X and Y given by their rows.
template <class T, int r, int c>
void subtract_rows(Reg<T> (&acc)[tile][tile], const Reg<T>* const (&x)[tile],
                   const Reg<T>* const (&y)[tile], int k) {
    for (int p = 0; p < k; ++p) {
        Reg<T> right[c];
        for (int j = 0; j < c; ++j) right[j] = y[j][p];
        for (int i = 0; i < r; ++i) {
            const Reg<T> left = x[i][p];
            for (int j = 0; j < c; ++j) acc[i][j] = subtract_product<T>(acc[i][j], left, right[j]);
        }
    }
}

template <class T>
void subtract_any(Reg<T> (&acc)[tile][tile], int r, int c, const Reg<T>* const (&x)[tile],
                  const Reg<T>* const (&y)[tile], int k) {
    if (r == tile && c == tile) return subtract_rows<T, tile, tile>(acc, x, y, k);
    for (int p = 0; p < k; ++p)
        for (int i = 0; i < r; ++i)
            for (int j = 0; j < c; ++j)
                acc[i][j] = subtract_product<T>(acc[i][j], x[i][p], y[j][p]);
}

inline int extent(int begin, int n) {
    return n - begin < tile ? n - begin : tile;
}

// The Cholesky factor of a diagonal tile, reciprocals of the pivots on its diagonal.
template <class T>
void factor_tile(Reg<T> (&acc)[tile][tile], int r, int first, std::int32_t* info) {
    for (int j = 0; j < r; ++j) {
        acc[j][j] = inverse_root<T>(acc[j][j], first + j, info);
        for (int i = j + 1; i < r; ++i) acc[i][j] *= acc[j][j];
        for (int i = j + 1; i < r; ++i)
            for (int q = j + 1; q <= i; ++q)
                acc[i][q] = subtract_product<T>(acc[i][q], acc[i][j], acc[q][j]);
    }
}

// acc := acc D^-T, D the factored diagonal tile in columns j0, ... of the rows y.
template <class T>
void solve_tile(Reg<T> (&acc)[tile][tile], int r, int c, const Reg<T>* const (&y)[tile], int j0) {
    for (int j = 0; j < c; ++j)
        for (int i = 0; i < r; ++i) {
            acc[i][j] *= y[j][j0 + j];
            for (int q = j + 1; q < c; ++q)
                acc[i][q] = subtract_product<T>(acc[i][q], acc[i][j], y[q][j0 + j]);
        }
}

// Left-looking by tiles of rows. Reciprocals of the pivots stay on the diagonal.
template <class T>
void factor(T* a, int n, std::int32_t* info) {
    for (int i0 = 0; i0 < n; i0 += tile) {
        const int r = extent(i0, n);
        const Reg<T>* x[tile] = {};
        for (int i = 0; i < r; ++i) x[i] = row<T>(a, i0 + i);
        for (int j0 = 0; j0 <= i0; j0 += tile) {
            const int c = extent(j0, n);
            const bool diagonal = j0 == i0;
            const Reg<T>* y[tile] = {};
            Reg<T> acc[tile][tile] = {};
            for (int j = 0; j < c; ++j) y[j] = row<T>(a, j0 + j);
            for (int i = 0; i < r; ++i)
                for (int j = 0; j < (diagonal ? i + 1 : c); ++j) acc[i][j] = x[i][j0 + j];
            subtract_any<T>(acc, r, c, x, y, j0);
            if (diagonal)
                factor_tile<T>(acc, r, j0, info);
            else
                solve_tile<T>(acc, r, c, y, j0);
            for (int i = 0; i < r; ++i)
                for (int j = 0; j < (diagonal ? i + 1 : c); ++j)
                    row<T>(a, i0 + i)[j0 + j] = acc[i][j];
        }
    }
}

// M = L^-1 over L, rows ascending, columns ascending: M(I, J) = -L(I, I)^-1 sum_K L(I, K) M(K, J)
// reads L(I, K) for K >= J only, and rows of M that are done.
template <class T>
void invert_triangle(T* a, int n) {
    for (int i0 = 0; i0 < n; i0 += tile) {
        const int r = extent(i0, n);
        Reg<T>* x[tile] = {};
        for (int i = 0; i < r; ++i) x[i] = row<T>(a, i0 + i);
        for (int j0 = 0; j0 < i0; j0 += tile) {
            Reg<T> acc[tile][tile] = {};
            for (int p = j0; p < i0; ++p) {
                const Reg<T>* const m = row<T>(a, p) + j0;
                const int c = p - j0 + 1 < tile ? p - j0 + 1 : tile;
                if (r == tile && c == tile) {
                    for (int i = 0; i < tile; ++i)
                        for (int j = 0; j < tile; ++j)
                            acc[i][j] = subtract_product<T>(acc[i][j], x[i][p], m[j]);
                } else {
                    for (int i = 0; i < r; ++i)
                        for (int j = 0; j < c; ++j)
                            acc[i][j] = subtract_product<T>(acc[i][j], x[i][p], m[j]);
                }
            }
            for (int i = 0; i < r; ++i)
                for (int j = 0; j < tile; ++j) {
                    Reg<T> v = acc[i][j];
                    for (int q = 0; q < i; ++q) v = subtract_product<T>(v, x[i][i0 + q], acc[q][j]);
                    acc[i][j] = v * x[i][i0 + i];
                }
            for (int i = 0; i < r; ++i)
                for (int j = 0; j < tile; ++j) x[i][j0 + j] = acc[i][j];
        }
        for (int i = 0; i < r; ++i)
            for (int j = 0; j < i; ++j) {
                Reg<T> v = {};
                for (int q = j; q < i; ++q) v = subtract_product<T>(v, x[i][i0 + q], x[q][i0 + j]);
                x[i][i0 + j] = v * x[i][i0 + i];
            }
    }
}

// M^T M over M, rows ascending: entry (i, j), j <= i, sums over the rows k >= i of M.
template <class T>
void square_triangle(T* a, int n) {
    for (int i0 = 0; i0 < n; i0 += tile) {
        const int r = extent(i0, n);
        for (int j0 = 0; j0 <= i0; j0 += tile) {
            const int c = extent(j0, n);
            Reg<T> acc[tile][tile] = {};
            for (int p = i0; p < i0 + r; ++p) {
                const Reg<T>* const m = row<T>(a, p);
                for (int i = 0; i <= p - i0; ++i)
                    for (int j = 0; j < (j0 == i0 ? i + 1 : c); ++j)
                        acc[i][j] = subtract_product<T>(acc[i][j], -m[i0 + i], m[j0 + j]);
            }
            if (r == tile && c == tile) {
                for (int p = i0 + r; p < n; ++p) {
                    const Reg<T>* const m = row<T>(a, p);
                    for (int i = 0; i < tile; ++i) {
                        const Reg<T> left = -m[i0 + i];
                        for (int j = 0; j < tile; ++j)
                            acc[i][j] = subtract_product<T>(acc[i][j], left, m[j0 + j]);
                    }
                }
            }
            // Rows below a ragged tile do not exist: it is the last.
            for (int i = 0; i < r; ++i)
                for (int j = 0; j < (j0 == i0 ? i + 1 : c); ++j)
                    row<T>(a, i0 + i)[j0 + j] = acc[i][j];
        }
    }
}

template <class T>
void cholesky(T* a, int n, std::int32_t* info) {
    factor<T>(a, n, info);
    for (int i = 0; i < n; ++i) row<T>(a, i)[i] = splat<T>(1) / row<T>(a, i)[i];
}

template <class T>
void invert(T* a, int n, std::int32_t* info) {
    factor<T>(a, n, info);
    invert_triangle<T>(a, n);
    square_triangle<T>(a, n);
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
const BatchedKernels batched_kernels = {Lanes<float>::width, Lanes<double>::width, cholesky<float>,
                                        cholesky<double>,    invert<float>,        invert<double>,
                                        solve<float>,        solve<double>};

}  // namespace randnla::RANDNLA_ISA
