// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/distributions.hpp"
#include "tiles.cuh"

// Fragments of products on tensor cores, for bfloat16 and for float32 as sums of two numbers of
// TF32. Words hold one float32, or two numbers of sixteen bits of neighboring inner indices.
namespace randnla::cuda {

GPU_INLINE std::uint32_t load_bits(const float* p) {
    return static_cast<std::uint32_t>(bits_of(gpu::load(p)));
}
GPU_INLINE std::uint32_t load_bits(const Brain* p) {
    return gpu::load(&p->bits);
}
template <class S>
static __device__ __forceinline__ void load_bits(const S* p, std::uint32_t (&out)[4]) {
    gpu::load_pack(reinterpret_cast<const std::uint32_t*>(p), out);
}

// x = high + low up to 2^-22 |x|, both of eleven bits.
struct Split {
    std::uint32_t high, low;
    static __device__ __forceinline__ Split of(std::uint32_t word) {
        const float x = float_of_bits(static_cast<std::int32_t>(word));
        const float high = gpu::round_to_tf32(x);
        return {static_cast<std::uint32_t>(bits_of(high)),
                static_cast<std::uint32_t>(bits_of(gpu::round_to_tf32(x - high)))};
    }
};

// A fragment of `count` words: four of the left factor, two of the right one.
template <class S, int count = 4>
struct Operand;

template <int count>
struct Operand<Brain, count> {
    std::uint32_t words[count];
    static constexpr int depth = 16;  // of a product

    explicit __device__ __forceinline__ Operand(const std::uint32_t (&w)[count]) {
#pragma unroll
        for (int i = 0; i < count; ++i) words[i] = w[i];
    }
    __device__ __forceinline__ void multiply_exact(float (&sum)[4],
                                                   const std::uint32_t (&b)[2]) const {
        gpu::mma_bf16(sum, words, b);
    }
    __device__ __forceinline__ void multiply(float (&sum)[4], const Operand<Brain, 2>& b) const {
        gpu::mma_bf16(sum, words, b.words);
    }
};

template <int count>
struct Operand<float, count> {
    std::uint32_t high[count], low[count];
    static constexpr int depth = 8;

    explicit __device__ __forceinline__ Operand(const std::uint32_t (&w)[count]) {
#pragma unroll
        for (int i = 0; i < count; ++i) {
            const Split split = Split::of(w[i]);
            high[i] = split.high;
            low[i] = split.low;
        }
    }
    // By numbers of eleven bits.
    __device__ __forceinline__ void multiply_exact(float (&sum)[4],
                                                   const std::uint32_t (&b)[2]) const {
        gpu::mma_tf32(sum, low, b);
        gpu::mma_tf32(sum, high, b);
    }
    // Without low low, which is below 2^-22 of the product.
    __device__ __forceinline__ void multiply(float (&sum)[4], const Operand<float, 2>& b) const {
        gpu::mma_tf32(sum, low, b.high);
        gpu::mma_tf32(sum, high, b.low);
        gpu::mma_tf32(sum, high, b.high);
    }
};

}  // namespace randnla::cuda
