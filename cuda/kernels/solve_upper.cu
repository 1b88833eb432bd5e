// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "tiles.cuh"

namespace randnla::cuda {
namespace {

// A thread solves two rows, eight columns of R at a time; the rows lie in shared memory, where the
// solution takes the place of Y.
constexpr int rows_of_thread = 2, step = 8, most_threads = 128;
constexpr std::size_t roomy = 80 * 1024;  // two blocks a multiprocessor

template <class T>
struct SolveArguments {
    Matrix<const T> y;
    Matrix<const double> r;
    Matrix<T> x;
    bool load_packs, store_packs;
};

template <class T>
constexpr __host__ __device__ __forceinline__ int row_stride(index_t n) {
    return static_cast<int>((n + step - 1) / step) * step + pack_width<T>;
}

// What columns j0 .. j0 + 7 owe to those before them: sum -= x r.
template <class T>
static __device__ __forceinline__ void subtract_solved(gpu::Shared<T> rows, gpu::Shared<T> r,
                                                       int first, int between, int j0,
                                                       T (&sum)[rows_of_thread][step]) {
    constexpr int width = pack_width<T>;
#pragma unroll 1
    for (int i = 0; i < j0; i += width) {
        T x[rows_of_thread][width];
#pragma unroll
        for (int p = 0; p < rows_of_thread; ++p)
            gpu::load_shared(rows, first + p * between + i, x[p]);
#pragma unroll
        for (int e = 0; e < width; ++e) {
            T rv[step];
            gpu::load_shared(r, (i + e) * step, rv);
#pragma unroll
            for (int p = 0; p < rows_of_thread; ++p)
#pragma unroll
                for (int j = 0; j < step; ++j) sum[p][j] = gpu::fma(-x[p][e], rv[j], sum[p][j]);
        }
    }
}

// Ideal bytes: Y once, X once, the triangle of R once for each 256 rows.
template <class T>
__global__ void __launch_bounds__(most_threads) solve_kernel(SolveArguments<T> g) {
    constexpr int width = pack_width<T>;
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int n = static_cast<int>(g.y.cols), stride = row_stride<T>(n), across = stride - width;
    const int height = rows_of_thread * threads;
    GPU_DYNAMIC_SHARED(T, rows, 0, height * stride);
    GPU_DYNAMIC_SHARED(T, r, sizeof(T) * height * stride, across * step);
    const index_t i0 = static_cast<index_t>(blockIdx.x) * height;
    const int load_width = g.load_packs ? width : 1;
    for (int q = thread; q < height * (across / load_width); q += threads) {
        const int p = q / (across / load_width), c = q % (across / load_width) * load_width;
        const bool inside = i0 + p < g.y.rows && c < n;
        const T* from = g.y.data + (i0 + p) * g.y.row_stride + c * g.y.col_stride;
        T v[width] = {};
        if (g.load_packs) {
            if (inside) gpu::load_pack(from, v);
            gpu::store_shared(rows, p * stride + c, v);
        } else {
            rows[p * stride + c] = inside ? gpu::load(from) : T(0);
        }
    }
    const int first = thread * stride, between = threads * stride;
    for (int j0 = 0; j0 < n; j0 += step) {
        __syncthreads();
        for (int q = thread; q < (j0 + step) * step; q += threads) {
            const int i = q / step, j = j0 + q % step;
            const double* from = g.r.data + i * g.r.row_stride + j * g.r.col_stride;
            r[q] = i > j || j >= n ? static_cast<T>(i == j) : static_cast<T>(gpu::load(from));
        }
        __syncthreads();
        T sum[rows_of_thread][step];
#pragma unroll
        for (int p = 0; p < rows_of_thread; ++p)
            gpu::load_shared(rows, first + p * between + j0, sum[p]);
        subtract_solved<T>(rows, r, first, between, j0, sum);
#pragma unroll
        for (int j = 0; j < step; ++j) {
            T rv[step];
            gpu::load_shared(r, (j0 + j) * step, rv);
#pragma unroll
            for (int p = 0; p < rows_of_thread; ++p) {
                sum[p][j] = sum[p][j] / rv[j];
#pragma unroll
                for (int l = j + 1; l < step; ++l)
                    sum[p][l] = gpu::fma(-sum[p][j], rv[l], sum[p][l]);
            }
        }
#pragma unroll
        for (int p = 0; p < rows_of_thread; ++p)
            gpu::store_shared(rows, first + p * between + j0, sum[p]);
    }
    __syncthreads();
    const int store_width = g.store_packs ? width : 1;
    for (int q = thread; q < height * (across / store_width); q += threads) {
        const int p = q / (across / store_width), c = q % (across / store_width) * store_width;
        if (i0 + p >= g.x.rows || c >= n) continue;
        T* to = g.x.data + (i0 + p) * g.x.row_stride + c * g.x.col_stride;
        if (g.store_packs) {
            T v[width];
            gpu::load_shared(rows, p * stride + c, v);
            gpu::store_packs(to, v);
        } else {
            gpu::store(to, static_cast<T>(rows[p * stride + c]));
        }
    }
}

template <class T>
std::size_t bytes_of(index_t n, int threads) {
    const auto stride = static_cast<std::size_t>(row_stride<T>(n));
    return sizeof(T) *
           (static_cast<std::size_t>(rows_of_thread * threads) * stride + stride * step);
}

template <class T>
bool takes_packs(const Matrix<T>& a) {
    return reading_of<T>({a.data, a.rows, a.cols, a.row_stride, a.col_stride}) ==
           Reading::along_rows;
}

}  // namespace

index_t triangle_limit(int element_bytes) {
    return element_bytes == 4 ? 256 : 128;
}

template <class T>
void solve_upper(Matrix<const T> y, Matrix<const double> r, Matrix<T> x, StreamHandle stream) {
    if (x.rows == 0 || x.cols == 0) return;
    const int threads =
        bytes_of<T>(y.cols, most_threads) <= roomy ? most_threads : most_threads / 2;
    gpu::launch(
        solve_kernel<T>, blocks_of(y.rows, rows_of_thread * threads),
        static_cast<unsigned>(threads), bytes_of<T>(y.cols, threads),
        static_cast<gpu::Stream>(stream),
        SolveArguments<T>{y, r, x, reading_of(y) == Reading::along_rows, takes_packs<T>(x)});
}

template void solve_upper<float>(Matrix<const float>, Matrix<const double>, Matrix<float>,
                                 StreamHandle);
template void solve_upper<double>(Matrix<const double>, Matrix<const double>, Matrix<double>,
                                  StreamHandle);

}  // namespace randnla::cuda
