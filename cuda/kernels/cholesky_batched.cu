// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "entries.cuh"
#include "randnla/cuda/api.hpp"

namespace randnla::cuda {
namespace {

constexpr int threads = 128;
constexpr int sides = 16;  // right-hand sides that are solved for together
constexpr std::size_t shared_budget = 160 * 1024;

template <class T>
struct BatchArguments {
    const T* a;
    const T* b;  // of solutions alone
    T* out;
    Shifts shift;
    int n;
    index_t k;
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

// l (rows n + 1 apart) := the factor of the block's matrix, and what to report.
template <class T>
static __device__ __forceinline__ int load_and_factor(const BatchArguments<T>& g, index_t which,
                                                      gpu::Shared<T> l, int thread) {
    const int n = g.n, ld = n + 1;
    const T* a = g.a + which * n * n;
    const T shift = static_cast<T>(gpu::load(g.shift.values + which * g.shift.stride));
    for (int q = thread; q < n * n; q += threads) {
        const int i = q / n, j = q % n;
        if (j <= i) l[i * ld + j] = gpu::load(a + q) + (i == j ? shift : T(0));
    }
    __syncthreads();
    return factor<T>(l, n, ld, thread);
}

// Whether any thread of the block says so.
static __device__ __forceinline__ bool any_of_block(bool mine, int thread) {
    GPU_SHARED(int, said, threads / 32);
    const bool any = __ballot_sync(0xFFFFFFFFU, mine) != 0;
    if (thread % 32 == 0) said[thread / 32] = any ? 1 : 0;
    __syncthreads();
    bool all = false;
    for (int warp = 0; warp < threads / 32; ++warp) all = all || said[warp] != 0;
    return all;
}

template <class T>
static __device__ __forceinline__ void report(const BatchArguments<T>& g, index_t which, int info,
                                              T* out, index_t count, int thread) {
    if (info != 0)
        for (index_t q = thread; q < count; q += threads)
            gpu::store(out + q, static_cast<T>(float_of_bits(std::int32_t{0x7fc00000})));
    if (thread == 0) gpu::store(g.info + which, static_cast<std::int32_t>(info));
}

constexpr __host__ __device__ __forceinline__ int padded(int n) {
    return (n * (n + 1) + 3) / 4 * 4;
}

// One block a matrix. Ideal bytes: the lower triangle of A once, its inverse once.
template <class T>
__global__ void __launch_bounds__(threads) inverse_kernel(BatchArguments<T> g) {
    const int thread = static_cast<int>(threadIdx.x), n = g.n, ld = n + 1;
    const auto which = static_cast<index_t>(blockIdx.x);
    GPU_DYNAMIC_SHARED(T, l, 0, padded(n));
    GPU_DYNAMIC_SHARED(T, w, sizeof(T) * padded(n), padded(n));
    T* const x = g.out + which * n * n;
    int info = load_and_factor<T>(g, which, l, thread);
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
        if (any_of_block(beyond, thread)) info = n + 1;
    }
    report<T>(g, which, info, x, n * n, thread);
}

// Ideal bytes: the lower triangle of A once, the whole of L once.
template <class T>
__global__ void __launch_bounds__(threads) cholesky_kernel(BatchArguments<T> g) {
    const int thread = static_cast<int>(threadIdx.x), n = g.n, ld = n + 1;
    const auto which = static_cast<index_t>(blockIdx.x);
    GPU_DYNAMIC_SHARED(T, l, 0, padded(n));
    T* const out = g.out + which * n * n;
    int info = load_and_factor<T>(g, which, l, thread);
    if (info == 0) {
        bool beyond = false;
        for (int q = thread; q < n * n; q += threads) {
            const int i = q / n, j = q % n;
            const T value = j <= i ? static_cast<T>(l[i * ld + j]) : T(0);
            beyond = beyond || !(value - value == 0);
            gpu::store(out + q, value);
        }
        if (any_of_block(beyond, thread)) info = n + 1;
    }
    report<T>(g, which, info, out, n * n, thread);
}

// b (n rows of `sides`) := L^-T L^-1 b, an entry a thread and a barrier a row of L.
template <class T>
static __device__ __forceinline__ void substitute(gpu::Shared<T> l, gpu::Shared<T> b, int n, int ld,
                                                  int thread) {
    for (int pass = 0; pass < 2; ++pass)
        for (int step = 0; step < n; ++step) {
            const int j = pass == 0 ? step : n - 1 - step;
            if (thread < sides)
                b[j * sides + thread] =
                    static_cast<T>(b[j * sides + thread]) / static_cast<T>(l[j * ld + j]);
            __syncthreads();
            for (int q = thread; q < (n - 1 - step) * sides; q += threads) {
                const int i = pass == 0 ? j + 1 + q / sides : q / sides, c = q % sides;
                const T factor = pass == 0 ? l[i * ld + j] : l[j * ld + i];
                b[i * sides + c] = gpu::fma(-factor, static_cast<T>(b[j * sides + c]),
                                            static_cast<T>(b[i * sides + c]));
            }
            __syncthreads();
        }
}

// One block a matrix, 16 right-hand sides at a time. Ideal bytes: the lower triangle of A once, B
// once, X once.
template <class T>
__global__ void __launch_bounds__(threads) solve_kernel(BatchArguments<T> g) {
    const int thread = static_cast<int>(threadIdx.x), n = g.n;
    const auto which = static_cast<index_t>(blockIdx.x);
    GPU_DYNAMIC_SHARED(T, l, 0, padded(n));
    GPU_DYNAMIC_SHARED(T, b, sizeof(T) * padded(n), n * sides);
    T* const x = g.out + which * n * g.k;
    int info = load_and_factor<T>(g, which, l, thread);
    bool beyond = false;
    for (index_t c0 = 0; c0 < g.k && info == 0; c0 += sides) {
        bool finite = true;
        for (int q = thread; q < n * sides; q += threads) {
            const index_t c = c0 + q % sides, at = which * n * g.k + q / sides * g.k + c;
            const T value = c < g.k ? gpu::load(g.b + at) : T(0);
            finite = finite && value - value == 0;
            b[q] = value;
        }
        const bool sound = !any_of_block(!finite, thread);
        substitute<T>(l, b, n, n + 1, thread);
        for (int q = thread; q < n * sides; q += threads) {
            const index_t c = c0 + q % sides;
            const T value = b[q];
            beyond = beyond || (sound && !(value - value == 0));
            if (c < g.k) gpu::store(x + q / sides * g.k + c, value);
        }
        __syncthreads();
    }
    if (any_of_block(beyond, thread) && info == 0) info = n + 1;
    report<T>(g, which, info, x, n * g.k, thread);
}

// The most columns whose matrix, `matrices` times, and right-hand sides fit.
index_t limit(int element_bytes, int matrices) {
    const auto size = static_cast<std::size_t>(element_bytes);
    int n = 1;
    while (size * static_cast<std::size_t>(matrices * padded(n + 1)) <= shared_budget) ++n;
    return n;
}

template <class T>
void launch(void (*kernel)(BatchArguments<T>), index_t count, int elements,
            const BatchArguments<T>& g, StreamHandle stream) {
    if (count == 0 || g.n == 0) return;
    gpu::launch(kernel, static_cast<unsigned>(count), threads,
                sizeof(T) * static_cast<std::size_t>(elements), static_cast<gpu::Stream>(stream),
                g);
}

}  // namespace

index_t batched_limit(int element_bytes) {
    return limit(element_bytes, 2);
}
index_t cholesky_limit(int element_bytes) {
    return limit(element_bytes, 1);
}

template <class T>
void batched_inverse(const T* a, T* inverse, index_t count, index_t n, Shifts shift,
                     std::int32_t* info, StreamHandle stream) {
    const int order = static_cast<int>(n);
    launch<T>(inverse_kernel<T>, count, 2 * padded(order),
              {a, nullptr, inverse, shift, order, 0, info}, stream);
}

template <class T>
void batched_cholesky(const T* a, T* lower, index_t count, index_t n, Shifts shift,
                      std::int32_t* info, StreamHandle stream) {
    const int order = static_cast<int>(n);
    launch<T>(cholesky_kernel<T>, count, padded(order), {a, nullptr, lower, shift, order, 0, info},
              stream);
}

template <class T>
void batched_solve(const T* a, const T* b, T* x, index_t count, index_t n, index_t k, Shifts shift,
                   std::int32_t* info, StreamHandle stream) {
    const int order = static_cast<int>(n);
    launch<T>(solve_kernel<T>, count, padded(order) + order * sides,
              {a, b, x, shift, order, k, info}, stream);
}

#define RANDNLA_INSTANTIATE(T)                                                                \
    template void batched_inverse<T>(const T*, T*, index_t, index_t, Shifts, std::int32_t*,   \
                                     StreamHandle);                                           \
    template void batched_cholesky<T>(const T*, T*, index_t, index_t, Shifts, std::int32_t*,  \
                                      StreamHandle);                                          \
    template void batched_solve<T>(const T*, const T*, T*, index_t, index_t, index_t, Shifts, \
                                   std::int32_t*, StreamHandle);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::cuda
