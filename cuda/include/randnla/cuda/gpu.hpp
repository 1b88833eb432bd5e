// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The only header a kernel includes for the device: nvcc maps it to CUDA, the tests compile the
// same .cu files against the emulator. Kernels touch global memory through load, store and
// atomic_add, and shared memory through Shared<T>, so that the emulator sees every access; with
// nvcc all of these are plain pointers.
#ifdef RANDNLA_EMULATE
#include "emulator.hpp"
#else
#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#define GPU_INLINE static __device__ __forceinline__
#define GPU_SHARED(T, name, count) __shared__ __align__(16) T name[count]
#define GPU_DYNAMIC_SHARED(T, name, offset, count)               \
    extern __shared__ __align__(16) unsigned char gpu_dynamic[]; \
    T* const name = reinterpret_cast<T*>(gpu_dynamic + (offset))

namespace randnla::gpu {

using Stream = cudaStream_t;
template <class T>
using Shared = T*;

template <class T>
GPU_INLINE T load(const T* p) {
    return __ldg(p);
}
// Of memory that the kernel writes, too.
template <class T>
GPU_INLINE T load_changing(const T* p) {
    return *p;
}
template <class T>
GPU_INLINE void store(T* p, T value) {
    *p = value;
}
template <class T>
GPU_INLINE void atomic_add(T* p, T value) {
    atomicAdd(p, value);
}

// Sixteen bytes at once; the address is a multiple of 16.
template <class T, int N>
GPU_INLINE void load_pack(const T* p, T (&out)[N]) {
    static_assert(sizeof(out) == 16);
    const uint4 raw = __ldg(reinterpret_cast<const uint4*>(p));
    __builtin_memcpy(out, &raw, 16);
}
// N elements in packs of 16 bytes, of memory that the kernel writes, too.
template <class T, int N>
GPU_INLINE void load_changing_packs(const T* p, T (&out)[N]) {
    static_assert(sizeof(out) % 16 == 0);
    constexpr int width = 16 / sizeof(T);
#pragma unroll
    for (int i = 0; i < N; i += width) {
        const uint4 raw = *reinterpret_cast<const uint4*>(p + i);
        __builtin_memcpy(out + i, &raw, 16);
    }
}
template <class T, int N>
GPU_INLINE void store_packs(T* p, const T (&in)[N]) {
    static_assert(sizeof(in) % 16 == 0);
    constexpr int width = 16 / sizeof(T);
#pragma unroll
    for (int i = 0; i < N; i += width) {
        uint4 raw;
        __builtin_memcpy(&raw, in + i, 16);
        *reinterpret_cast<uint4*>(p + i) = raw;
    }
}
// N elements of shared memory in words of 16 bytes; the index is a multiple of those.
template <class T, int N>
GPU_INLINE void load_shared(Shared<T> s, int index, T (&out)[N]) {
    static_assert(sizeof(out) % 16 == 0);
    constexpr int width = 16 / sizeof(T);
#pragma unroll
    for (int i = 0; i < N; i += width) {
        const uint4 raw = *reinterpret_cast<const uint4*>(s + index + i);
        __builtin_memcpy(out + i, &raw, 16);
    }
}

template <class T, int N>
GPU_INLINE void store_shared(Shared<T> s, int index, const T (&in)[N]) {
    static_assert(sizeof(in) % 16 == 0);
    constexpr int width = 16 / sizeof(T);
#pragma unroll
    for (int i = 0; i < N; i += width) {
        uint4 raw;
        __builtin_memcpy(&raw, in + i, 16);
        *reinterpret_cast<uint4*>(s + index + i) = raw;
    }
}

GPU_INLINE float fma(float a, float b, float c) {
    return __fmaf_rn(a, b, c);
}
GPU_INLINE double fma(double a, double b, double c) {
    return __fma_rn(a, b, c);
}

GPU_INLINE int round_to_int(float x) {
    return __float2int_rn(x);
}
// Eleven bits, ties away from zero.
GPU_INLINE float round_to_tf32(float x) {
    std::uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

// c += a b of 16 x 8 by a warp, in the layouts of mma.sync; the inner dimension is 32 for s8, 16
// for bf16 and 8 for tf32.
GPU_INLINE void mma_s8(int (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
GPU_INLINE void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
GPU_INLINE void mma_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

inline void check(cudaError_t status, const char* what) {
    if (status != cudaSuccess)
        throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, Stream stream,
            A... arguments) {
    constexpr std::size_t without_asking = 48 * 1024;
    if (shared_bytes > without_asking)
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shared_bytes)),
              "shared memory of a kernel");
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...), "launch of a kernel");
}

}  // namespace randnla::gpu
#endif
