// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/distributions.hpp"
#include "tiles.cuh"

// What happens to the sums of a product: they are weighed and stored, or kept as partial sums of a
// slab of the inner dimension and added up, in float64 and in the order of the slabs, by a second
// kernel. Cuts depend on shapes alone, and so do the bits.
namespace randnla::cuda {

// c(i, j) = alpha w(i, j) sum + beta c(i, j); of a symmetric c, sums of the lower triangle.
template <class Out>
struct Finish {
    double alpha, beta;
    Matrix<Out> c;
    Weights weights;
    bool symmetric;
};

GPU_INLINE double weight(const Weights& w, index_t i, index_t j) {
    const double x = gpu::load(w.left + i) * gpu::load(w.right + j) + w.damping;
    switch (w.function) {
        case KronFunction::value:
            return w.scale * x;
        case KronFunction::inverse:
            return w.scale / x;
        case KronFunction::root:
            return w.scale * square_root(x);
        default:
            return w.scale / square_root(x);
    }
}

template <class Out>
static __device__ __forceinline__ void finish(const Finish<Out>& f, index_t i, index_t j,
                                              double sum) {
    if (i >= f.c.rows || j >= f.c.cols || (f.symmetric && j > i)) return;
    double value = f.alpha * sum;
    if (f.weights.left != nullptr) value *= weight(f.weights, i, j);
    Out* const p = f.c.data + i * f.c.row_stride + j * f.c.col_stride;
    if (f.beta != 0) value += f.beta * static_cast<double>(gpu::load_changing(p));
    gpu::store(p, static_cast<Out>(value));
    if (f.symmetric && i != j)
        gpu::store(f.c.data + j * f.c.row_stride + i * f.c.col_stride, static_cast<Out>(value));
}

// Partial sums lie row-major, one matrix of c's shape a slab; of a symmetric one only the lower
// triangle is touched. Ideal bytes: these once, c once (and once more where beta is not 0).
template <class T, class Out>
__global__ void __launch_bounds__(square_threads)
    finish_kernel(const T* partial, index_t slabs, Finish<Out> f) {
    const index_t count = f.c.rows * f.c.cols;
    const index_t q = static_cast<index_t>(blockIdx.x) * square_threads + threadIdx.x;
    const index_t i = q / f.c.cols, j = q % f.c.cols;
    if (q >= count || (f.symmetric && j > i)) return;
    double sum = 0;
    for (index_t s = 0; s < slabs; ++s)
        sum += static_cast<double>(gpu::load(partial + s * count + q));
    finish(f, i, j, sum);
}

template <class T, class Out>
void add_slabs(const T* partial, index_t slabs, const Finish<Out>& f, StreamHandle stream) {
    gpu::launch(finish_kernel<T, Out>, blocks_of(f.c.rows * f.c.cols, square_threads),
                square_threads, 0, static_cast<gpu::Stream>(stream), partial, slabs, f);
}

// Slabs of an inner dimension: enough for two blocks on each of 132 multiprocessors, none shorter
// than 1024.
struct Slabs {
    index_t count, depth;
    static Slabs of(index_t inner, index_t tiles) {
        index_t most = (inner + 1023) / 1024, wanted = 264 / tiles;
        wanted = wanted < 1 ? 1 : wanted > most ? most : wanted;
        if (wanted < 1) wanted = 1;
        const index_t depth = (inner + wanted * square - 1) / (wanted * square) * square;
        return {depth == 0 ? 1 : (inner + depth - 1) / depth, depth};
    }
};
template <class T>
Slabs slabs_of_product(index_t rows, index_t cols, index_t inner) {
    return Slabs::of(
        inner, static_cast<index_t>(blocks_of(rows, Tile<T>::rows)) * blocks_of(cols, square));
}

// f(left right^T); work holds the slabs' sums where there are several (multiply.cu).
template <class T, class Out>
void product(Matrix<const T> left, Matrix<const T> right, const Finish<Out>& f, T* work,
             StreamHandle stream);

}  // namespace randnla::cuda
