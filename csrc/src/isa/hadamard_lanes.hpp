// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>

#include "randnla/sketch_hadamard.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// Fast Walsh-Hadamard transforms in registers of `lanes` elements. A level of stride h replaces the
// pair (a, b) = (x[i], x[i + h]) by (a + b, a - b); levels run in ascending order of h everywhere.
namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, log_radix = 4, log_last_radix = 5;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, log_radix = 3, log_last_radix = 3;
#else
constexpr int vector_bytes = 16, log_radix = 3, log_last_radix = 3;
#endif
constexpr int radix = 1 << log_radix;
constexpr std::size_t line_bytes = 64;

template <class T>
struct Vec {
    using Word = typename SignWord<T>::type;
    static constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));
    typedef T Float __attribute__((vector_size(vector_bytes)));
    typedef Word Int __attribute__((vector_size(vector_bytes)));
};
template <class T>
using F = typename Vec<T>::Float;

#define RANDNLA_INLINE inline __attribute__((always_inline))
#define RANDNLA_LAMBDA __attribute__((always_inline))

template <class T>
RANDNLA_INLINE F<T> load(const T* p) {
    F<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class T>
RANDNLA_INLINE void store(T* p, F<T> v) {
    std::memcpy(p, &v, sizeof v);
}
template <class T>
RANDNLA_INLINE F<T> flip(F<T> v, typename Vec<T>::Int signs) {
    return reinterpret_cast<F<T>>(reinterpret_cast<typename Vec<T>::Int>(v) ^ signs);
}

// a * b + c where a is +-1 in every lane: the product is exact, so fused or not the bits agree.
#if defined(__AVX512F__)
RANDNLA_INLINE F<float> signed_add(F<float> a, F<float> b, F<float> c) {
    return _mm512_fmadd_ps(a, b, c);
}
RANDNLA_INLINE F<double> signed_add(F<double> a, F<double> b, F<double> c) {
    return _mm512_fmadd_pd(a, b, c);
}
#elif defined(__FMA__)
RANDNLA_INLINE F<float> signed_add(F<float> a, F<float> b, F<float> c) {
    return _mm256_fmadd_ps(a, b, c);
}
RANDNLA_INLINE F<double> signed_add(F<double> a, F<double> b, F<double> c) {
    return _mm256_fmadd_pd(a, b, c);
}
#else
template <class V>
RANDNLA_INLINE V signed_add(V a, V b, V c) {
    return a * b + c;
}
#endif

// One level within a register: lane l meets lane l ^ H.
template <class T, int H, int... L>
RANDNLA_INLINE F<T> lane_level(F<T> x, std::integer_sequence<int, L...>) {
    const F<T> partner = __builtin_shufflevector(x, x, (L ^ H)...);
    const F<T> sign = {((L & H) != 0 ? T(-1) : T(1))...};
    return signed_add(sign, x, partner);
}
template <class T, int H = 1>
RANDNLA_INLINE F<T> lane_levels(F<T> x) {
    if constexpr (H < Vec<T>::lanes) {
        x = lane_level<T, H>(x, std::make_integer_sequence<int, Vec<T>::lanes>{});
        return lane_levels<T, 2 * H>(x);
    } else {
        return x;
    }
}

// body(0), .., body(N - 1) with constant arguments: g++ keeps arrays in registers only where it
// sees constant indices from the start.
template <class Body, int... I>
RANDNLA_INLINE void unrolled(const Body& body, std::integer_sequence<int, I...>) {
    (body(std::integral_constant<int, I>{}), ...);
}
template <int N, class Body>
RANDNLA_INLINE void unrolled(const Body& body) {
    unrolled(body, std::make_integer_sequence<int, N>{});
}

// All levels across R registers.
template <int H = 1, class V, int R>
RANDNLA_INLINE void across(V (&x)[R]) {
    if constexpr (H < R) {
        unrolled<R>([&](auto i) RANDNLA_LAMBDA {
            if constexpr ((i & H) == 0) {
                const V a = x[i], b = x[i + H];
                x[i] = a + b;
                x[i + H] = a - b;
            }
        });
        across<2 * H>(x);
    }
}

// ---- levels at a stride of whole registers ----

template <class T, int R>
RANDNLA_INLINE void butterfly(const T* from, index_t from_stride, T* to, index_t to_stride) {
    F<T> v[R];
    unrolled<R>([&](auto i) RANDNLA_LAMBDA { v[i] = load(from + i * from_stride); });
    across(v);
    unrolled<R>([&](auto i) RANDNLA_LAMBDA { store(to + i * to_stride, v[i]); });
}

template <class T, int R>
void pass_of(T* x, index_t stride, index_t count) {
    for (index_t j = 0; j < count; j += Vec<T>::lanes)
        butterfly<T, R>(x + j, stride, x + j, stride);
}

template <class T>
void pass(T* x, index_t stride, int levels, index_t count) {
    switch (levels) {
        case 1:
            return pass_of<T, 2>(x, stride, count);
        case 2:
            return pass_of<T, 4>(x, stride, count);
        case 3:
            return pass_of<T, 8>(x, stride, count);
#if defined(__AVX512F__)
        case 4:
            return pass_of<T, 16>(x, stride, count);
        case 5:
            return pass_of<T, 32>(x, stride, count);
#endif
        default:
            return;
    }
}

// The levels of stride `stride` .. size / 2, in as few passes as the registers allow.
template <class T>
void levels_from(T* x, index_t size, index_t stride) {
    int left = 0;
    while ((stride << left) < size) ++left;
    while (left > 0) {
        const int passes = (left + log_last_radix - 1) / log_last_radix;
        const int n = (left + passes - 1) / passes;
        for (index_t base = 0; base < size; base += stride << n) pass(x + base, stride, n, stride);
        stride <<= n;
        left -= n;
    }
}
template <class T>
RANDNLA_INLINE T flip_scalar(T value, Signs<T> signs, index_t i) {
    if (signs.words == nullptr) return value;
    typename SignWord<T>::type word;
    std::memcpy(&word, &value, sizeof word);
    word ^= signs.words[i];
    std::memcpy(&value, &word, sizeof word);
    return value;
}

RANDNLA_INLINE void prefetch(const void* p) {
    __builtin_prefetch(p, 0, 2);
}

// Every line of p[0..count); p may start within one.
template <class T>
RANDNLA_INLINE void fetch_run(const T* p, index_t count) {
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    const char* end = reinterpret_cast<const char*>(p + count);
    for (const char* q = reinterpret_cast<const char*>(p) - address % line_bytes; q < end;
         q += line_bytes)
        prefetch(q);
}

}  // namespace
}  // namespace randnla::RANDNLA_ISA
