// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "hadamard_lanes.hpp"

// Transforms of contiguous vectors.
namespace randnla::RANDNLA_ISA {
namespace {

template <class T>
RANDNLA_INLINE F<T> flip_lanes(F<T> v, Signs<T> signs, index_t vector) {
#if defined(__AVX512F__)
    const auto w = reinterpret_cast<__m512i>(v);
    const auto* bits = reinterpret_cast<const char*>(signs.bits);
    if constexpr (sizeof(T) == 4) {
        __mmask16 mask;
        std::memcpy(&mask, bits + 2 * vector, sizeof mask);
        return reinterpret_cast<F<T>>(
            _mm512_mask_xor_epi32(w, mask, w, _mm512_set1_epi32(INT32_MIN)));
    } else {
        __mmask8 mask;
        std::memcpy(&mask, bits + vector, sizeof mask);
        return reinterpret_cast<F<T>>(
            _mm512_mask_xor_epi64(w, mask, w, _mm512_set1_epi64(INT64_MIN)));
    }
#else
    typename Vec<T>::Int word;
    std::memcpy(&word, signs.words + vector * Vec<T>::lanes, sizeof word);
    return flip<T>(v, word);
#endif
}

// Vectors too short for the register kernel.
template <class T>
void short_vector(const T* a, index_t valid, Signs<T> signs, T* x, index_t size) {
    for (index_t i = 0; i < size; ++i) x[i] = i < valid ? flip_scalar(a[i], signs, i) : T(0);
    for (index_t h = 1; h < size; h *= 2)
        for (index_t base = 0; base < size; base += 2 * h)
            for (index_t i = base; i < base + h; ++i) {
                const T p = x[i], q = x[i + h];
                x[i] = p + q;
                x[i + h] = p - q;
            }
}

// The first levels of `radix` vectors; signs are those of a[0].
template <class T>
RANDNLA_INLINE void vector_block(const T* a, Signs<T> signs, T* x) {
    constexpr int lanes = Vec<T>::lanes;
    F<T> v[radix];
    unrolled<radix>([&](auto i) RANDNLA_LAMBDA {
        v[i] = load(a + i * lanes);
        if (signs.bits != nullptr) v[i] = flip_lanes<T>(v[i], signs, i);
        v[i] = lane_levels<T>(v[i]);
    });
    across(v);
    unrolled<radix>([&](auto i) RANDNLA_LAMBDA { store(x + i * lanes, v[i]); });
}

// The levels from `stride` on, fetching the run `ahead` evenly over the first pass.
template <class T>
void levels_fetching(T* x, index_t size, index_t stride, const T* ahead, index_t count) {
    constexpr index_t piece = 512 / static_cast<index_t>(sizeof(T));
    index_t fetched = 0;
    const auto body = [&](auto tag) {
        constexpr int R = decltype(tag)::value;
        for (index_t base = 0; base < size; base += R * stride)
            for (index_t j = base; j < base + stride; j += Vec<T>::lanes) {
                if (fetched < count) {
                    fetch_run(ahead + fetched, piece);
                    fetched += piece;
                }
                butterfly<T, R>(x + j, stride, x + j, stride);
            }
        levels_from(x, size, R * stride);
    };
#if defined(__AVX512F__)
    if (stride * 32 == size) return body(std::integral_constant<int, 32>{});
    if (stride * 16 == size) return body(std::integral_constant<int, 16>{});
#endif
    if (stride * 8 <= size) return body(std::integral_constant<int, 8>{});
    levels_from(x, size, stride);
}

template <class T>
void vector_chunk(const T* a, index_t valid, Signs<T> signs, T* x, index_t size, const T* next) {
    constexpr index_t block = radix * Vec<T>::lanes;
    if (size < block) return short_vector(a, valid, signs, x, size);
    const index_t full = valid / block * block;
    const index_t early = next == nullptr ? 0 : valid / 2;  // fetched while loading
    for (index_t i = 0; i < full; i += block) {
        if (next != nullptr) fetch_run(next + i / 2, block / 2);
        vector_block(a + i, signs.from(i), x + i);
    }
    if (full < size) {
        // The tail is set out with its zeros; what follows it is zero already.
        for (index_t i = full; i < size; ++i) x[i] = i < valid ? a[i] : T(0);
        if (full < valid) vector_block(x + full, signs.from(full), x + full);
    }
    if (next != nullptr)
        levels_fetching(x, size, block, next + early, valid - early);
    else
        levels_from(x, size, block);
}

// Adding zero makes every zero +0: which levels met padding must not show.
template <class T>
void pick(const T* x, const std::int32_t* positions, index_t count, T scale, T* out,
          index_t stride) {
    if (stride == 1)
        for (index_t i = 0; i < count; ++i) out[i] = x[positions[i]] * scale + T(0);
    else
        for (index_t i = 0; i < count; ++i) out[i * stride] = x[positions[i]] * scale + T(0);
}

template <class T>
void pick_top(const T* x, index_t half, const std::int32_t* positions, index_t count, T scale,
              T* out, index_t stride) {
    for (index_t i = 0; i < count; ++i) {
        const index_t p = positions[i];
        const T left = x[p & ~half], right = x[p | half];
        const T sign = (p & half) != 0 ? T(-1) : T(1);  // times a sign is exact
        out[i * stride] = (left + sign * right) * scale + T(0);
    }
}

template <class T>
void store_signed(const T* x, Signs<T> signs, index_t count, T scale, T* out) {
    for (index_t i = 0; i < count; ++i) out[i] = flip_scalar(x[i], signs, i) * scale + T(0);
}

template <class T>
constexpr HadamardVectorKernels<T> table() {
    return {log_last_radix, vector_chunk<T>, pass<T>, pick<T>, pick_top<T>, store_signed<T>};
}

}  // namespace

extern const HadamardVectorTables hadamard_vector_kernels;
const HadamardVectorTables hadamard_vector_kernels = {table<float>(), table<double>()};

}  // namespace randnla::RANDNLA_ISA
