// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "entries.cuh"
#include "randnla/cuda/api.hpp"

namespace randnla::cuda {
namespace {

constexpr int threads = 128;
constexpr std::size_t shared_budget = 160 * 1024;

template <class T>
struct BatchArguments {
    const T* a;
    T* inverse;
    const double* shift;
    index_t shift_stride;
    int n;
    std::int32_t* info;
};

GPU_INLINE bool is_positive_and_finite(double p) {
    return p > 0 && p - p == 0;
}

// l (rows ld apart) := L with L L^T = l; 0, or 1 + the first pivot that is not positive and finite,
// the same for all threads.
template <class T>
static __device__ __forceinline__ int factor(gpu::Shared<T> l, int n, int ld, int thread) {
    for (int k = 0; k < n; ++k) {
        const T pivot = l[k * ld + k];
        if (!is_positive_and_finite(static_cast<double>(pivot))) return k + 1;
        const T root = square_root(pivot);
        __syncthreads();
        for (int i = k + thread; i < n; i += threads)
            l[i * ld + k] = i == k ? root : static_cast<T>(l[i * ld + k]) / root;
        __syncthreads();
        const int left = n - k - 1;
        for (int q = thread; q < left * left; q += threads) {
            const int i = k + 1 + q / left, j = k + 1 + q % left;
            if (j <= i)
                l[i * ld + j] =
                    gpu::fma(-static_cast<T>(l[i * ld + k]), static_cast<T>(l[j * ld + k]),
                             static_cast<T>(l[i * ld + j]));
        }
        __syncthreads();
    }
    return 0;
}

// w := L^-1, a column a thread.
template <class T>
static __device__ __forceinline__ void invert_factor(gpu::Shared<T> l, gpu::Shared<T> w, int n,
                                                     int ld, int thread) {
    for (int c = thread; c < n; c += threads)
        for (int i = c; i < n; ++i) {
            T sum = i == c ? T(1) : T(0);
            for (int k = c; k < i; ++k)
                sum = gpu::fma(-static_cast<T>(l[i * ld + k]), static_cast<T>(w[k * ld + c]), sum);
            w[i * ld + c] = sum / static_cast<T>(l[i * ld + i]);
        }
}

// One block a matrix. Ideal bytes: the lower triangle of A once, its inverse once.
template <class T>
__global__ void __launch_bounds__(threads) inverse_kernel(BatchArguments<T> g) {
    const int thread = static_cast<int>(threadIdx.x), n = g.n, ld = n + 1;
    const auto which = static_cast<index_t>(blockIdx.x);
    const int padded = (n * ld + 3) / 4 * 4;
    GPU_DYNAMIC_SHARED(T, l, 0, padded);
    GPU_DYNAMIC_SHARED(T, w, sizeof(T) * padded, padded);
    GPU_SHARED(int, bad, threads / 32);
    const T* a = g.a + which * n * n;
    T* x = g.inverse + which * n * n;
    const T shift = static_cast<T>(gpu::load(g.shift + which * g.shift_stride));
    for (int q = thread; q < n * n; q += threads) {
        const int i = q / n, j = q % n;
        if (j <= i) l[i * ld + j] = gpu::load(a + q) + (i == j ? shift : T(0));
    }
    __syncthreads();
    int info = factor<T>(l, n, ld, thread);
    if (info == 0) {
        invert_factor<T>(l, w, n, ld, thread);
        __syncthreads();
        bool beyond = false;
        for (int q = thread; q < n * n; q += threads) {
            const int i = q / n, j = q % n;
            T sum = 0;
            for (int k = i > j ? i : j; k < n; ++k)
                sum = gpu::fma(static_cast<T>(w[k * ld + i]), static_cast<T>(w[k * ld + j]), sum);
            beyond = beyond || !(sum - sum == 0);
            gpu::store(x + q, sum);
        }
        const bool any = __ballot_sync(0xFFFFFFFFU, beyond) != 0;
        if (thread % 32 == 0) bad[thread / 32] = any ? 1 : 0;
        __syncthreads();
        for (int warp = 0; warp < threads / 32; ++warp)
            if (bad[warp] != 0) info = n + 1;
    }
    if (info != 0)
        for (int q = thread; q < n * n; q += threads)
            gpu::store(x + q, static_cast<T>(float_of_bits(std::int32_t{0x7fc00000})));
    if (thread == 0) gpu::store(g.info + which, static_cast<std::int32_t>(info));
}

std::size_t bytes_of(index_t n, std::size_t element_bytes) {
    const auto padded = static_cast<std::size_t>((n * (n + 1) + 3) / 4 * 4);
    return 2 * padded * element_bytes;
}

}  // namespace

index_t batched_limit(int element_bytes) {
    index_t n = 1;
    while (bytes_of(n + 1, static_cast<std::size_t>(element_bytes)) <= shared_budget) ++n;
    return n;
}

template <class T>
void batched_inverse(const T* a, T* inverse, index_t count, index_t n, const double* shift,
                     index_t shift_stride, std::int32_t* info, StreamHandle stream) {
    if (count == 0 || n == 0) return;
    gpu::launch(inverse_kernel<T>, static_cast<unsigned>(count), threads, bytes_of(n, sizeof(T)),
                static_cast<gpu::Stream>(stream),
                BatchArguments<T>{a, inverse, shift, shift_stride, static_cast<int>(n), info});
}

template void batched_inverse<float>(const float*, float*, index_t, index_t, const double*, index_t,
                                     std::int32_t*, StreamHandle);
template void batched_inverse<double>(const double*, double*, index_t, index_t, const double*,
                                      index_t, std::int32_t*, StreamHandle);

}  // namespace randnla::cuda
