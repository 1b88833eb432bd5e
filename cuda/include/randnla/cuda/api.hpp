// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/philox.hpp"

// What the kernels offer to the host: plain pointers to device memory, strides in elements, nothing
// allocated, nothing synchronized. The CPU core has the same rooms under the same names.
namespace randnla::cuda {

using index_t = std::int64_t;
using StreamHandle = void*;

// Numbers of sixteen bits as they are stored: IEEE-754 binary16 and the upper half of a float32.
struct Half {
    std::uint16_t bits;
};
struct Brain {
    std::uint16_t bits;
};

template <class T>
struct Matrix {
    T* data;
    index_t rows, cols, row_stride, col_stride;
};

// As DenseMap of the core: entry (i, j) is scale * entry(row_start + i, col_start + j).
struct DenseMap {
    StreamKind kind = StreamKind::gaussian;
    std::uint64_t seed = 0, stream = 0;
    std::uint64_t row_start = 0, col_start = 0;
    double scale = 1;
};

template <class T>
void fill_dense_map(const DenseMap& map, Matrix<T> out, StreamHandle stream);

// y = a S^T (S of y.cols rows), or y = a S if adjoint, S never stored. squares, if not null, gets
// sum_of_squares_parts(a.rows, element size) partial sums of the squares of a.
template <class T>
void apply_dense_map(const DenseMap& map, bool adjoint, Matrix<const T> a, Matrix<T> y,
                     double* squares, StreamHandle stream);
index_t sum_of_squares_parts(index_t rows, int element_bytes);

// out = S a, or out = S^T a, of a float32 sign map in exact fixed point, with the bits of the core.
void apply_sign_map(const DenseMap& map, bool adjoint, Matrix<const float> a, Matrix<float> out,
                    StreamHandle stream);

// y = a S^T, or y = a S if adjoint, of a sign map on tensor cores. S is Brain, whose products are
// exact and summed in float32, or float, which is taken as the sum of two numbers of eleven bits:
// up to 2^-22 of its size. The map is that of element type float32.
template <class S>
void apply_sign_map_tensor(const DenseMap& map, bool adjoint, Matrix<const S> a, Matrix<float> y,
                           StreamHandle stream);

// SparseSign, or CountSketch (nnz = 1, kind countsketch); positions and signs as in the core.
struct SparseMap {
    StreamKind kind = StreamKind::sparse_sign;
    std::uint64_t seed = 0, stream = 0;
    index_t rows = 0, nnz = 1;
    int element_bits = 32;
};
void sparse_map_columns(const SparseMap& map, index_t first, index_t count, std::int64_t* positions,
                        std::int8_t* signs, StreamHandle stream);

// True where the sums of a strip of 32 columns fit shared memory: apply_sparse_map then adds in the
// order of the core (rows of a ascending, then the order of the draw) and has its bits. Otherwise
// it adds atomically, in no order, to an out that it clears first.
bool sparse_map_is_ordered(const SparseMap& map, int element_bytes);
template <class T>
void apply_sparse_map(const SparseMap& map, T scale, Matrix<const T> a, Matrix<T> out,
                      StreamHandle stream);
template <class T>
void apply_sparse_map_adjoint(const SparseMap& map, T scale, Matrix<const T> a, Matrix<T> out,
                              StreamHandle stream);

// The SRHT of the columns of a; positions are the sampled rows of the transform, one per row of
// out; or its adjoint, where they are one per row of a. The order, the power of two at or above the
// rows of the longer matrix, is at most hadamard_limit(element size).
index_t hadamard_limit(int element_bytes);
template <class T>
void apply_hadamard(std::uint64_t seed, std::uint64_t map_stream, const std::int64_t* positions,
                    bool adjoint, T scale, Matrix<const T> a, Matrix<T> out, StreamHandle stream);

// out[k, :] = scale a[rows[k], :].
template <class T>
void gather_rows(const std::int64_t* rows, T scale, Matrix<const T> a, Matrix<T> out,
                 StreamHandle stream);

// Of every column of scale x, which has rows: the entry of largest magnitude, the first of equal
// ones and NaN if there is one, then the sums of squares, then those of entries. out is (3,
// columns); work has column_peaks_work(rows, columns) numbers.
template <class T>
void column_peaks(Matrix<const T> x, double scale, double* out, double* work, StreamHandle stream);
index_t column_peaks_work(index_t rows, index_t cols);

// out = alpha x * weights + beta z, entry by entry, in float64 and rounded once: copies, sums,
// multiples of rows and columns, conversions. Null weights are ones; z is not read where beta is 0.
// Strides of zero repeat a row or a column. Each of x and z may be out, but not a part of it.
template <class S, class T>
void combine(double alpha, Matrix<const S> x, Matrix<const double> weights, double beta,
             Matrix<const T> z, Matrix<T> out, StreamHandle stream);

// r = b - a x in float64 whatever a is stored in; sums (columns of a + 1, columns of b) gets a^T r
// and, in its last row, the sums of squares of r. b or residual, which receives r, may be null. a
// has at most sweep_limit() columns, work sweep_work(rows of a, columns of a, columns of b)
// numbers.
template <class S>
void sweep(Matrix<const S> a, Matrix<const double> b, Matrix<const double> x,
           Matrix<double> residual, Matrix<double> sums, double* work, StreamHandle stream);
index_t sweep_limit();
index_t sweep_work(index_t rows, index_t cols, index_t sides);

// out[k] = sum_l u[i_k, l] v[j_k, l]: entries of u v^T at (i_k, j_k).
template <class T>
void sampled_products(const std::int64_t* i, const std::int64_t* j, index_t count,
                      Matrix<const T> u, Matrix<const T> v, T* out, StreamHandle stream);

// A_i + shift_i I of `count` contiguous n by n matrices, from their lower triangles; shift_stride
// is 1, or 0 for one shift for all. info as in the core: 0, 1 + the first pivot that is not
// positive and finite, or n + 1 where the result is beyond the range of T; the result of such a
// matrix is NaN. n is at most batched_limit(element size), for factors cholesky_limit.
struct Shifts {
    const double* values;
    index_t stride;
};
index_t batched_limit(int element_bytes);
template <class T>
void batched_inverse(const T* a, T* inverse, index_t count, index_t n, Shifts shift,
                     std::int32_t* info, StreamHandle stream);
// X of the shape of B: `count` contiguous matrices of n rows of k right-hand sides.
template <class T>
void batched_solve(const T* a, const T* b, T* x, index_t count, index_t n, index_t k, Shifts shift,
                   std::int32_t* info, StreamHandle stream);
// Lower triangular factors, zero above the diagonal.
index_t cholesky_limit(int element_bytes);
template <class T>
void batched_cholesky(const T* a, T* lower, index_t count, index_t n, Shifts shift,
                      std::int32_t* info, StreamHandle stream);

// Entry (i, j) of a product is multiplied by scale f(left[i] right[j] + damping), unless left is
// null. KronFunction and the formula are those of the core.
enum class KronFunction { value, inverse, root, inverse_root };
struct Weights {
    const double* left = nullptr;
    const double* right = nullptr;
    double damping = 0, scale = 1;
    KronFunction function = KronFunction::value;
};

// c = alpha (a b weighed) + beta c. Partial sums in T, slabs of the inner dimension in float64;
// work has multiply_work(rows of c, columns of c, inner dimension, element size) elements.
template <class T>
void multiply(double alpha, Matrix<const T> a, Matrix<const T> b, double beta, Matrix<T> c,
              const Weights& weights, T* work, StreamHandle stream);
index_t multiply_work(index_t rows, index_t cols, index_t inner, int element_bytes);
// Products that are summed in T one after the other, the depth of a slab.
index_t multiply_depth(index_t rows, index_t cols, index_t inner, int element_bytes);

// c = alpha a^T a + beta c, both triangles of a symmetric c of which the lower one is read: Gram
// matrices of tall matrices and averages of factors of curvature. Out is T, or double.
template <class T, class Out>
void gram(double alpha, Matrix<const T> a, double beta, Matrix<Out> c, T* work,
          StreamHandle stream);
index_t gram_work(index_t rows, index_t cols, int element_bytes);

// The same on tensor cores, summed in float32 within a slab: products of Brain are exact, those of
// float have an error of 3 2^-22, being those of sums of two numbers of eleven bits.
template <class S>
void gram_tensor(double alpha, Matrix<const S> a, double beta, Matrix<float> c, float* work,
                 StreamHandle stream);
index_t gram_tensor_work(index_t rows, index_t cols);

// The two products of Woodbury's identity with a window g of few long rows, as in the core: formed
// and summed in float64 whatever g is stored in (S is T, or narrow where T is float).
//   c = g x^T (rows of g by rows of x), with window_work(g.rows, x.rows, g.cols) numbers of work,
//   y = alpha x + c^T g (rows are vectors).
// g has at most window_limit() rows.
template <class S, class T>
void window_dots(Matrix<const S> g, Matrix<const T> x, Matrix<double> c, double* work,
                 StreamHandle stream);
index_t window_limit();
index_t window_work(index_t rows, index_t vectors, index_t cols);
template <class S, class T>
void window_combine(Matrix<const S> g, Matrix<const double> c, double alpha, Matrix<const T> x,
                    Matrix<T> y, StreamHandle stream);

// X R = Y for an upper triangular R, by substitution; R is rounded to T, at most
// triangle_limit(element size) wide, and nothing below its diagonal is read.
template <class T>
void solve_upper(Matrix<const T> y, Matrix<const double> r, Matrix<T> x, StreamHandle stream);
index_t triangle_limit(int element_bytes);

}  // namespace randnla::cuda
