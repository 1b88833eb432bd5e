// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "products.cuh"

namespace randnla::cuda {
namespace {

// The triangle of a Gram matrix of at most `limit` columns lies in blocks of side x side sums, one
// a thread; as many groups of threads as fit take the rows of A in turn.
constexpr int most_threads = 256;

template <class T>
struct Triangle {
    static constexpr int side = sizeof(T) == 4 ? 8 : 4, limit = 16 * side, most_groups = 16;
    static constexpr int room = side * side + 1;  // of a thread's sums: odd, so in other banks
    int blocks, groups, stride;  // a group; in a block of threads; of a row in shared memory

    static __host__ __device__ __forceinline__ Triangle of(index_t n) {
        const int across = static_cast<int>((n + side - 1) / side);
        const int blocks = across * (across + 1) / 2, fit = most_threads / blocks;
        return {blocks, fit < most_groups ? fit : most_groups, across * side + pack_width<T>};
    }
    int threads() const { return (blocks * groups + 31) / 32 * 32; }
    __host__ __device__ __forceinline__ int rows_count() const { return square * stride; }
    __host__ __device__ __forceinline__ int sums_count() const { return blocks * room; }
};

template <class T>
struct GramArguments {
    Matrix<const T> a;
    Reading reading;
    index_t depth;
    T* partial;
};

// The rows of a from k0 to `end`, `square` at most, zeros below them and right of them.
template <class T, Reading reading>
static __device__ __forceinline__ void load_rows(const Matrix<const T>& a, index_t k0, index_t end,
                                                 int stride, gpu::Shared<T> rows) {
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    constexpr int width = reading == Reading::entries ? 1 : pack_width<T>;
    constexpr bool down = reading == Reading::along_columns;  // packs of several rows
    const int n = static_cast<int>(a.cols), padded = stride - pack_width<T>;
    const int across = down ? padded : padded / width;
    for (int q = thread; q < square / (down ? width : 1) * across; q += threads) {
        const int k = q / across * (down ? width : 1), c = q % across * (down ? 1 : width);
        const index_t i = k0 + k;
        T v[pack_width<T>] = {};
        const T* p = a.data + i * a.row_stride + c * a.col_stride;
        read<reading>(p, i < end && c < n, v);
#pragma unroll
        for (int e = 0; e < width; ++e)
            rows[(k + (down ? e : 0)) * stride + c + (down ? 0 : e)] = v[e];
    }
}

// Sums of a slab of rows. Ideal bytes: A once, the lower triangle of the sums once a slab.
template <class T, Reading reading>
__global__ void __launch_bounds__(most_threads, 2) triangle_kernel(GramArguments<T> g) {
    constexpr int side = Triangle<T>::side, room = Triangle<T>::room;
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int n = static_cast<int>(g.a.cols);
    const auto shape = Triangle<T>::of(n);
    GPU_DYNAMIC_SHARED(T, rows, 0, shape.rows_count());
    GPU_DYNAMIC_SHARED(T, sums, shape.rows_count() * sizeof(T), shape.sums_count());
    const int group = thread / shape.blocks, block = thread % shape.blocks;
    int bi = 0;
    while ((bi + 1) * (bi + 2) / 2 <= block) ++bi;
    const int bj = block - bi * (bi + 1) / 2;
    const index_t begin = static_cast<index_t>(blockIdx.x) * g.depth;
    const index_t end = begin + g.depth < g.a.rows ? begin + g.depth : g.a.rows;
    T sum[side][side] = {};
    for (index_t k0 = begin; k0 < end; k0 += square) {
        load_rows<T, reading>(g.a, k0, end, shape.stride, rows);
        __syncthreads();
        for (int k = group; k < square && group < shape.groups; k += shape.groups) {
            T left[side], right[side];
            gpu::load_shared(rows, k * shape.stride + bi * side, left);
            gpu::load_shared(rows, k * shape.stride + bj * side, right);
#pragma unroll
            for (int i = 0; i < side; ++i)
#pragma unroll
                for (int j = 0; j < side; ++j) sum[i][j] = gpu::fma(left[i], right[j], sum[i][j]);
        }
        __syncthreads();
    }
    for (int q = thread; q < shape.sums_count(); q += threads) sums[q] = T(0);
    __syncthreads();
    for (int turn = 0; turn < shape.groups; ++turn) {
        if (group == turn) {
#pragma unroll
            for (int e = 0; e < side * side; ++e) sums[block * room + e] += sum[e / side][e % side];
        }
        __syncthreads();
    }
    T* const out = g.partial + static_cast<index_t>(blockIdx.x) * n * n;
    for (int q = thread; q < n * n; q += threads) {
        const int i = q / n, j = q % n, which = i / side * (i / side + 1) / 2 + j / side;
        if (j <= i)
            gpu::store(out + q, static_cast<T>(sums[which * room + i % side * side + j % side]));
    }
}

template <class T>
Slabs slabs_of_gram(index_t rows, index_t cols) {
    return cols <= Triangle<T>::limit ? Slabs::of(rows, 1) : slabs_of_product<T>(cols, cols, rows);
}

template <class T>
void launch_triangle(const GramArguments<T>& g, index_t slabs, StreamHandle stream) {
    const auto shape = Triangle<T>::of(g.a.cols);
    const auto bytes =
        static_cast<std::size_t>(shape.rows_count() + shape.sums_count()) * sizeof(T);
    const auto run = [&](auto kernel) {
        gpu::launch(kernel, static_cast<unsigned>(slabs), static_cast<unsigned>(shape.threads()),
                    bytes, static_cast<gpu::Stream>(stream), g);
    };
    switch (g.reading) {
        case Reading::along_rows:
            return run(triangle_kernel<T, Reading::along_rows>);
        case Reading::along_columns:
            return run(triangle_kernel<T, Reading::along_columns>);
        case Reading::entries:
            return run(triangle_kernel<T, Reading::entries>);
    }
}

}  // namespace

index_t gram_work(index_t rows, index_t cols, int element_bytes) {
    const index_t limit = element_bytes == 4 ? Triangle<float>::limit : Triangle<double>::limit;
    const auto slabs =
        element_bytes == 4 ? slabs_of_gram<float>(rows, cols) : slabs_of_gram<double>(rows, cols);
    return slabs.count == 1 && cols > limit ? 0 : slabs.count * cols * cols;
}

template <class T, class Out>
void gram(double alpha, Matrix<const T> a, double beta, Matrix<Out> c, T* work,
          StreamHandle stream) {
    if (c.rows == 0) return;
    const Finish<Out> f{alpha, beta, c, Weights{}, true};
    if (a.cols > Triangle<T>::limit)
        return product<T, Out>(transposed(a), transposed(a), f, work, stream);
    const auto slabs = slabs_of_gram<T>(a.rows, a.cols);
    launch_triangle<T>({a, reading_of(a), slabs.depth, work}, slabs.count, stream);
    add_slabs(work, slabs.count, f, stream);
}

#define RANDNLA_INSTANTIATE(T, Out) \
    template void gram<T, Out>(double, Matrix<const T>, double, Matrix<Out>, T*, StreamHandle);
RANDNLA_INSTANTIATE(float, float)
RANDNLA_INSTANTIATE(float, double)
RANDNLA_INSTANTIATE(double, double)

}  // namespace randnla::cuda
