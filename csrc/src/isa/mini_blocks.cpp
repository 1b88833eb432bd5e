// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/mini_blocks.hpp"

#include "kernel_lanes.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

template <class T>
struct Vector;
template <>
struct Vector<float> {
    using type = Floats;
    typedef float Unaligned
        __attribute__((vector_size(kernel_vector_bytes), aligned(4), may_alias));
};
template <>
struct Vector<double> {
    using type = Doubles;
    typedef double Unaligned
        __attribute__((vector_size(kernel_vector_bytes), aligned(8), may_alias));
};
template <class T>
using Reg = typename Vector<T>::type;

template <class T>
constexpr int width = kernel_vector_bytes / static_cast<int>(sizeof(T));
constexpr int lanes = static_cast<int>(block_lanes);

template <class T>
inline Reg<T> load(const T* p) {
    return *reinterpret_cast<const typename Vector<T>::Unaligned*>(p);
}
template <class T>
inline void store(T* p, Reg<T> v) {
    *reinterpret_cast<typename Vector<T>::Unaligned*>(p) = v;
}

template <class T>
void average(T* a, int n, const T* x, T keep, T weight) {
    for (int i = 0; i < n; ++i)
        for (int j = 0; j <= i; ++j, a += lanes)
#pragma GCC unroll 8
            for (int l = 0; l < lanes; l += width<T>) {
                const Reg<T> left = load(x + i * lanes + l) * weight;
                store(a + l, multiply_add(left, load(x + j * lanes + l), load(a + l) * keep));
            }
}

// One register of matrices; `fixed` orders keep x and y in registers.
template <class T, int fixed>
void apply_register(const T* a, int order, const T* x, T* y) {
    constexpr int most = fixed > 0 ? fixed : 1;
    Reg<T> held[most], sums[most];
    for (int i = 0; i < most; ++i) {
        held[i] = load(x + i * lanes);
        sums[i] = Reg<T>{};
    }
    const int n = fixed > 0 ? fixed : order;
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
#pragma GCC unroll 16
        for (int j = 0; j <= i; ++j, a += lanes) {
            const Reg<T> entry = load(a);
            sums[i] = multiply_add(entry, held[j], sums[i]);
            if (j < i) sums[j] = multiply_add(entry, held[i], sums[j]);
        }
    for (int i = 0; i < n; ++i) store(y + i * lanes, sums[i]);
}

template <class T>
void apply_any(const T* a, int n, const T* x, T* y) {
    for (int i = 0; i < n; ++i) {
        const Reg<T> right = load(x + i * lanes);
        Reg<T> sum{};
        for (int j = 0; j < i; ++j, a += lanes) {
            const Reg<T> entry = load(a);
            sum = multiply_add(entry, load(x + j * lanes), sum);
            store(y + j * lanes, multiply_add(entry, right, load(y + j * lanes)));
        }
        store(y + i * lanes, multiply_add(load(a), right, sum));  // rows below i add to it
        a += lanes;
    }
}

template <class T>
void apply(const T* a, int n, const T* x, T* y) {
    for (int l = 0; l < lanes; l += width<T>) {
        if (n == 9)
            apply_register<T, 9>(a + l, n, x + l, y + l);
        else
            apply_any<T>(a + l, n, x + l, y + l);
    }
}

}  // namespace

extern const MiniBlockKernels mini_block_kernels;
const MiniBlockKernels mini_block_kernels = {average<float>, average<double>, apply<float>,
                                             apply<double>};

}  // namespace randnla::RANDNLA_ISA
