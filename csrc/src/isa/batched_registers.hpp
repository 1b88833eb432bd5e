// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <utility>

#include "randnla/matrix_view.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

// Registers of numbers of as many matrices, one a lane, and how matrices get there and back.
namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int register_bytes = 64, register_count = 32;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int register_bytes = 32, register_count = 16;
#else
constexpr int register_bytes = 16, register_count = 16;
#endif

template <class T>
struct Lanes {
    static constexpr int width = register_bytes / static_cast<int>(sizeof(T));
    typedef T Reg __attribute__((vector_size(register_bytes), may_alias));
};
template <class T>
using Reg = typename Lanes<T>::Reg;

template <class T>
Reg<T> splat(T x) {
    return Reg<T>{} + x;
}

// c - a b and c + a b, fused where the level has it (the files of this folder are compiled without
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
template <class T>
Reg<T> add_product(Reg<T> c, Reg<T> a, Reg<T> b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_fmadd_ps(a, b, c);
    else
        return _mm512_fmadd_pd(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
    if constexpr (sizeof(T) == 4)
        return _mm256_fmadd_ps(a, b, c);
    else
        return _mm256_fmadd_pd(a, b, c);
#else
    return c + a * b;
#endif
}

template <class T>
Reg<T> root(Reg<T> a) {
#if defined(__AVX512F__)
    // The maskz forms, for the reason given in kernel_lanes.hpp.
    if constexpr (sizeof(T) == 4)
        return _mm512_maskz_sqrt_ps(static_cast<__mmask16>(0xFFFF), a);
    else
        return _mm512_maskz_sqrt_pd(static_cast<__mmask8>(0xFF), a);
#elif defined(__AVX2__) && defined(__FMA__)
    if constexpr (sizeof(T) == 4)
        return _mm256_sqrt_ps(a);
    else
        return _mm256_sqrt_pd(a);
#else
    for (int l = 0; l < Lanes<T>::width; ++l) {
        if constexpr (sizeof(T) == 4)
            a[l] = __builtin_sqrtf(a[l]);
        else
            a[l] = __builtin_sqrt(a[l]);
    }
    return a;
#endif
}

// Rows a and b of a matrix in registers trade the entries that bit H of the column tells apart.
template <int H, class V, int... L>
inline void trade(V& a, V& b, std::integer_sequence<int, L...>) {
    constexpr int width = sizeof...(L);
    const V first = __builtin_shufflevector(a, b, ((L & H) != 0 ? width + L - H : L)...);
    b = __builtin_shufflevector(a, b, ((L & H) != 0 ? width + L : L + H)...);
    a = first;
}

template <class T, int H = Lanes<T>::width / 2>
inline void transpose(Reg<T> (&x)[Lanes<T>::width]) {
    constexpr int width = Lanes<T>::width;
    if constexpr (H > 0) {
#pragma GCC unroll 16
        for (int i = 0; i < width; ++i)
            if ((i & H) == 0) trade<H>(x[i], x[i + H], std::make_integer_sequence<int, width>{});
        transpose<T, H / 2>(x);
    }
}

// As many numbers of T as a register has lanes of Work.
template <class T, class Work>
struct Narrow {
    static constexpr int bytes = Lanes<Work>::width * static_cast<int>(sizeof(T));
    typedef T Reg __attribute__((vector_size(bytes), aligned(sizeof(T)), may_alias));
};

// Lower triangles by rows, one register an entry, of `width` matrices with contiguous rows of at
// least `width` numbers; the last columns of a row are read with some before them.
template <class T, class Work>
void gather(const T* a, index_t stride, index_t row_stride, int n, Work* out) {
    constexpr int width = Lanes<Work>::width;
    Reg<Work>* target = reinterpret_cast<Reg<Work>*>(out);
    for (int i = 0; i < n; target += ++i)
        for (int j0 = 0; j0 <= i; j0 += width) {
            const int first = j0 + width <= n ? j0 : n - width;
            const T* const from = a + i * row_stride + first;
            Reg<Work> x[width];
#pragma GCC unroll 16
            for (int l = 0; l < width; ++l) {
                const auto row =
                    *reinterpret_cast<const typename Narrow<T, Work>::Reg*>(from + l * stride);
                x[l] = __builtin_convertvector(row, Reg<Work>);
            }
            transpose<Work>(x);
            if (first + width <= i + 1) {
#pragma GCC unroll 16
                for (int q = 0; q < width; ++q) target[first + q] = x[q];
            } else {
                for (int q = 0; q <= i - first; ++q) target[first + q] = x[q];
            }
        }
}

// The matrices of these triangles, symmetric or zero above the diagonal.
template <class T, class Work>
void scatter(const Work* in, int n, bool symmetric, T* a, index_t stride, index_t row_stride) {
    constexpr int width = Lanes<Work>::width;
    const Reg<Work>* const source = reinterpret_cast<const Reg<Work>*>(in);
    for (int i = 0; i < n; ++i)
        for (int j0 = 0; j0 < n; j0 += width) {
            const int first = j0 + width <= n ? j0 : n - width;
            Reg<Work> x[width];
#pragma GCC unroll 16
            for (int q = 0; q < width; ++q) {
                const int j = first + q;
                if (j <= i)
                    x[q] = source[i * (i + 1) / 2 + j];
                else
                    x[q] = symmetric ? source[j * (j + 1) / 2 + i] : Reg<Work>{};
            }
            transpose<Work>(x);
            T* const to = a + i * row_stride + first;
#pragma GCC unroll 16
            for (int l = 0; l < width; ++l)
                *reinterpret_cast<typename Narrow<T, Work>::Reg*>(to + l * stride) =
                    __builtin_convertvector(x[l], typename Narrow<T, Work>::Reg);
        }
}

}  // namespace
}  // namespace randnla::RANDNLA_ISA
