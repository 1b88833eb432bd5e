// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

// Vectors of the level's width with the operations that radial kernels are made of.
namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kernel_vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int kernel_vector_bytes = 32;
#else
constexpr int kernel_vector_bytes = 16;
#endif

typedef float Floats __attribute__((vector_size(kernel_vector_bytes)));
typedef double Doubles __attribute__((vector_size(kernel_vector_bytes)));

#if defined(__AVX512F__)
inline Floats multiply_add(Floats a, Floats b, Floats c) {
    return _mm512_fmadd_ps(a, b, c);
}
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
    return _mm512_fmadd_pd(a, b, c);
}
// The maskz forms are the plain instructions; g++ 12 warns of an uninitialised operand in the
// others.
inline Floats root(Floats a) {
    return _mm512_maskz_sqrt_ps(static_cast<__mmask16>(0xFFFF), a);
}
inline Doubles root(Doubles a) {
    return _mm512_maskz_sqrt_pd(static_cast<__mmask8>(0xFF), a);
}
#elif defined(__AVX2__)
inline Floats multiply_add(Floats a, Floats b, Floats c) {
    return _mm256_fmadd_ps(a, b, c);
}
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
    return _mm256_fmadd_pd(a, b, c);
}
inline Floats root(Floats a) {
    return _mm256_sqrt_ps(a);
}
inline Doubles root(Doubles a) {
    return _mm256_sqrt_pd(a);
}
#else
template <class V>
inline V multiply_add(V a, V b, V c) {
    return a * b + c;
}
inline Floats root(Floats a) {
    for (int l = 0; l < kernel_vector_bytes / 4; ++l) a[l] = __builtin_sqrtf(a[l]);
    return a;
}
inline Doubles root(Doubles a) {
    for (int l = 0; l < kernel_vector_bytes / 8; ++l) a[l] = __builtin_sqrt(a[l]);
    return a;
}
#endif

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
    using Vector = Floats;
    typedef std::int32_t Bits __attribute__((vector_size(kernel_vector_bytes)));
    static constexpr int count = kernel_vector_bytes / 4, mantissa = 23;
    static constexpr float smallest = -87.0F, log2e = 0x1.715476p+0F, magic = 0x1.8p23F;
    static constexpr float ln2_high = 0x1.62e4p-1F, ln2_low = 0x1.7f7d1cp-20F;
    static Vector tail(Vector r) {
        Vector q = r * 0x1.6d110ap-10F + 0x1.120b6ep-7F;
        q = multiply_add(q, r, Vector{} + 0x1.55551ap-5F);
        q = multiply_add(q, r, Vector{} + 0x1.5554dcp-3F);
        return multiply_add(q, r, Vector{} + 0.5F);
    }
};

template <>
struct Lanes<double> {
    using Vector = Doubles;
    typedef std::int64_t Bits __attribute__((vector_size(kernel_vector_bytes)));
    static constexpr int count = kernel_vector_bytes / 8, mantissa = 52;
    static constexpr double smallest = -708.0, log2e = 0x1.71547652b82fep+0, magic = 0x1.8p52;
    static constexpr double ln2_high = 0x1.62e42fefa3p-1, ln2_low = 0x1.3de6af278ece6p-42;
    static Vector tail(Vector r) {
        Vector q = r * 0x1.af38a9b0ec855p-26 + 0x1.289185613a3d6p-22;
        q = multiply_add(q, r, Vector{} + 0x1.71de0dae63bb3p-19);
        q = multiply_add(q, r, Vector{} + 0x1.a019b90d2ae7ap-16);
        q = multiply_add(q, r, Vector{} + 0x1.a01a01a7c41d5p-13);
        q = multiply_add(q, r, Vector{} + 0x1.6c16c1788bd90p-10);
        q = multiply_add(q, r, Vector{} + 0x1.11111111109b3p-7);
        q = multiply_add(q, r, Vector{} + 0x1.5555555553d63p-5);
        q = multiply_add(q, r, Vector{} + 0x1.5555555555556p-3);
        return multiply_add(q, r, Vector{} + 0.5);
    }
};

// exp(x) for x <= 0: x = n log 2 + r, |r| <= log(2) / 2, exp(r) = 1 + r + r^2 tail(r), the tail of
// degree 9 (4 for float) interpolated in Chebyshev points, |relative error| < 1.7e-17 (1.1e-8). n
// comes out of a rounded addition in the low bits of `shifted` and goes into the exponent as an
// integer. Results that would be subnormal are zero: products of them would only be slow.
template <class T>
inline typename Lanes<T>::Vector exp_negative(typename Lanes<T>::Vector x) {
    using L = Lanes<T>;
    using V = typename L::Vector;
    using Bits = typename L::Bits;
    const V zero{};
    const V shifted = multiply_add(x, zero + L::log2e, zero + L::magic);
    const V n = shifted - L::magic;
    V r = multiply_add(n, zero - L::ln2_high, x);
    r = multiply_add(n, zero - L::ln2_low, r);
    const V p = multiply_add(r * r, L::tail(r), r) + T(1);
    const V value = (V)((Bits)p + ((Bits)shifted << L::mantissa));
    return x < L::smallest ? zero : value;  // NaN stays
}

}  // namespace
}  // namespace randnla::RANDNLA_ISA
