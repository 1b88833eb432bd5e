// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "products.cuh"

namespace randnla::cuda {
namespace {

template <class T, class Out>
struct ProductArguments {
    Matrix<const T> left, right;
    Reading left_reading, right_reading;
    index_t depth;  // of a slab of the inner dimension
    T* partial;     // or null where there is one slab
    Finish<Out> finish;
};

template <class T, int rows>
static __device__ __forceinline__ void load_any(Reading reading, const Matrix<const T>& a,
                                                index_t i0, index_t k0, int thread,
                                                gpu::Shared<T> tile) {
    const auto ignore = [](T) {};
    switch (reading) {
        case Reading::along_rows:
            return load_panel<T, rows, Reading::along_rows>(a, i0, k0, thread, tile, ignore);
        case Reading::along_columns:
            return load_panel<T, rows, Reading::along_columns>(a, i0, k0, thread, tile, ignore);
        default:
            return load_panel<T, rows, Reading::entries>(a, i0, k0, thread, tile, ignore);
    }
}

// Bound by arithmetic but for thin products: a tile of Tile::rows x 64 takes 64 (Tile::rows + 64)
// entries for each 64 Tile::rows of its products. Ideal bytes: the left factor once for each 64
// columns of the product, the right one once for each Tile::rows rows of it, the product once.
template <class T, class Out>
__global__ void __launch_bounds__(square_threads, 2) product_kernel(ProductArguments<T, Out> g) {
    using Shape = Tile<T>;
    GPU_DYNAMIC_SHARED(T, left, 0, Shape::Left::count);
    GPU_DYNAMIC_SHARED(T, right, Shape::right_at, Shape::Right::count);
    const int thread = static_cast<int>(threadIdx.x), tx = thread % 16, ty = thread / 16;
    const index_t across = (g.finish.c.cols + square - 1) / square;
    const index_t i0 = static_cast<index_t>(blockIdx.x) / across * Shape::rows;
    const index_t j0 = static_cast<index_t>(blockIdx.x) % across * square;
    if (g.finish.symmetric && j0 >= i0 + Shape::rows) return;
    const auto slab = static_cast<index_t>(blockIdx.y);
    const index_t begin = slab * g.depth;
    const index_t end = begin + g.depth < g.left.cols ? begin + g.depth : g.left.cols;
    Matrix<const T> a = g.left, b = g.right;
    a.cols = b.cols = end;
    T sum[Shape::tm][4] = {};
    for (index_t k0 = begin; k0 < end; k0 += square) {
        load_any<T, Shape::rows>(g.left_reading, a, i0, k0, thread, left);
        load_any<T, square>(g.right_reading, b, j0, k0, thread, right);
        __syncthreads();
        multiply_panels<T>(left, right, tx, ty, sum);
        __syncthreads();
    }
    const index_t rows = g.finish.c.rows, cols = g.finish.c.cols;
    put_sums<T>(sum, tx, ty, [&](int di, int dj, T value) {
        const index_t i = i0 + di, j = j0 + dj;
        if (g.partial == nullptr)
            finish(g.finish, i, j, static_cast<double>(value));
        else if (i < rows && j < cols && !(g.finish.symmetric && j > i))
            gpu::store(g.partial + (slab * rows + i) * cols + j, value);
    });
}

}  // namespace

template <class T, class Out>
void product(Matrix<const T> left, Matrix<const T> right, const Finish<Out>& f, T* work,
             StreamHandle stream) {
    const auto slabs = slabs_of_product<T>(f.c.rows, f.c.cols, left.cols);
    const ProductArguments<T, Out> g{left,
                                     right,
                                     reading_of(left),
                                     reading_of(right),
                                     slabs.depth,
                                     slabs.count == 1 ? nullptr : work,
                                     f};
    const dim3 grid(blocks_of(f.c.rows, Tile<T>::rows) * blocks_of(f.c.cols, square),
                    static_cast<unsigned>(slabs.count));
    gpu::launch(product_kernel<T, Out>, grid, square_threads, Tile<T>::bytes,
                static_cast<gpu::Stream>(stream), g);
    if (slabs.count > 1) add_slabs(work, slabs.count, f, stream);
}

namespace {

Slabs slabs_of_size(index_t rows, index_t cols, index_t inner, int element_bytes) {
    return element_bytes == 4 ? slabs_of_product<float>(rows, cols, inner)
                              : slabs_of_product<double>(rows, cols, inner);
}

}  // namespace

index_t multiply_work(index_t rows, index_t cols, index_t inner, int element_bytes) {
    if (rows == 0 || cols == 0) return 0;
    const auto slabs = slabs_of_size(rows, cols, inner, element_bytes);
    return slabs.count == 1 ? 0 : slabs.count * rows * cols;
}
index_t multiply_depth(index_t rows, index_t cols, index_t inner, int element_bytes) {
    if (rows == 0 || cols == 0) return 0;
    return slabs_of_size(rows, cols, inner, element_bytes).depth;
}

template <class T>
void multiply(double alpha, Matrix<const T> a, Matrix<const T> b, double beta, Matrix<T> c,
              const Weights& weights, T* work, StreamHandle stream) {
    if (c.rows == 0 || c.cols == 0) return;
    product<T, T>(a, transposed(b), Finish<T>{alpha, beta, c, weights, false}, work, stream);
}

template void product<float, double>(Matrix<const float>, Matrix<const float>,
                                     const Finish<double>&, float*, StreamHandle);
#define RANDNLA_INSTANTIATE(T)                                                             \
    template void product<T, T>(Matrix<const T>, Matrix<const T>, const Finish<T>&, T*,    \
                                StreamHandle);                                             \
    template void multiply<T>(double, Matrix<const T>, Matrix<const T>, double, Matrix<T>, \
                              const Weights&, T*, StreamHandle);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::cuda
