// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>
#include <string>

#include "randnla/error.hpp"
#include "randnla/matrix_view.hpp"

// The BLAS and LAPACK routines we call, overloaded on float and double. Our views have 64-bit
// indices; the library's are 32-bit, so every size crosses the border through narrow().
namespace randnla::blas {

using int_t = std::int32_t;

inline int_t narrow(index_t value, const char* what) {
    if (value > std::numeric_limits<int_t>::max())
        throw Error(ErrorKind::capacity, std::string(what) + " = " + std::to_string(value) +
                                             " exceeds the 32-bit indices of the BLAS");
    return static_cast<int_t>(value);
}

// Keeps the library at one thread: the parallelism is ours (threads.hpp).
void use_one_thread();
std::string config();
std::string core_name();
// Whether small products are packed as large ones are: OpenBLAS has kernels that read operands
// where they lie for AVX-512 alone.
bool packs_always();

// C = alpha A B + beta C on the calling thread. Operands that BLAS cannot take are packed panel by
// panel; beta = 0 overwrites C whatever it held.
template <class T>
void gemm(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c);

// Upper triangle of the row-major C = alpha A^T A + beta C, on the calling thread.
template <class T>
void syrk(T alpha, MatrixView<const T> a, T beta, MatrixView<T> c);

// B := B R^{-1} in place, R upper triangular and row-major, on the calling thread.
template <class T>
void trsm_right_upper(MatrixView<const T> r, MatrixView<T> b);

// B := B R^{-T} in place, R upper triangular, both row-major, on the calling thread.
template <class T>
void trsm_right_upper_transposed(MatrixView<const T> r, MatrixView<T> b);

}  // namespace randnla::blas

// LAPACK on row-major square or column-major storage as each says; `info` > 0 is returned, a bad
// argument is our bug and throws.
namespace randnla::lapack {

// Upper Cholesky factor of the row-major symmetric A (upper triangle read), R^T R = A. Returns 0,
// or the order of the leading minor that is not positive definite.
template <class T>
index_t potrf_upper(MatrixView<T> a);

// The upper triangle of A^-1 over R, R^T R = A. Returns 0, or 1 + the index of a zero pivot.
template <class T>
index_t potri_upper(MatrixView<T> r);

// x := A^-1 x for `count` vectors of the order of R, one after the other; R^T R = A.
template <class T>
void potrs_upper(MatrixView<const T> r, T* columns, index_t count);

// R := R^{-1} of a row-major upper triangle. Returns 0, or 1 + the index of a zero pivot.
template <class T>
index_t trtri_upper(MatrixView<T> r);

// C := R^{-T} C R^{-1} for row-major upper triangles, C symmetric.
template <class T>
void sygst_upper(MatrixView<const T> r, MatrixView<T> c);

// Tridiagonal T = Q^T A Q of the row-major symmetric A (upper triangle read): its diagonal (n) and
// off-diagonal (n - 1); A and tau (n - 1) hold Q as ormtr_upper reads it.
template <class T>
void sytrd_upper(MatrixView<T> a, T* diagonal, T* off_diagonal, T* tau);

// Eigenpairs of a tridiagonal matrix, which is overwritten: ascending eigenvalues in `diagonal`,
// the eigenvectors as the rows of v. Returns info > 0 where it did not converge.
template <class T>
index_t stedc(T* diagonal, T* off_diagonal, MatrixView<T> v);

// The same where the matrix has been torn after row `cut`: its entries are of size 1 at most, the
// coupling is off the two diagonal entries beside it, and `diagonal` and the diagonal blocks of v
// hold the eigenpairs of the two parts, each ascending, with zeros in the other blocks. Row
// order[i] of v and of `diagonal` becomes the pair number i.
template <class T>
index_t merge_torn(T* diagonal, MatrixView<T> v, index_t cut, T coupling, blas::int_t* order);

// x := Q x for the rows x of the row-major X, Q of sytrd_upper.
template <class T>
void ormtr_upper(MatrixView<const T> a, const T* tau, MatrixView<T> x);

// Thin SVD of the row-major A (m x n), overwritten: U (m x k), s (k), Vh (k x n) row-major,
// k = min(m, n).
template <class T>
index_t gesdd(MatrixView<T> a, MatrixView<T> u, T* s, MatrixView<T> vh);

// Householder QR of the column-major A (m x n, m >= n): R to the row-major upper triangle r, Q in
// A.
template <class T>
void geqrf_orgqr(MatrixView<T> a, MatrixView<T> r);

// Householder QR of the column-major A (m x n, m >= n) as Q = I - V T V^T: R on and V below the
// diagonal of A (V's unit diagonal is implied), T upper triangular in the column-major n x n t,
// whose lower part is left alone. The diagonal of T holds the reflectors' tau.
template <class T>
void geqrt(MatrixView<T> a, MatrixView<T> t);

// Column pivoted QR of the column-major A: reflectors and R in A, perm[j] = the column of A that
// column j of A P was.
template <class T>
void geqp3(MatrixView<T> a, blas::int_t* perm, T* tau);

// The first min(m, n) columns of Q from the k <= min(m, n) reflectors that lie in A.
template <class T>
void orgqr(MatrixView<T> a, const T* tau, index_t k);

// Partially pivoted LU of the column-major A: swaps[i] = the row (from 0) that row i was swapped
// with at step i, i < min(m, n). Zero pivots are no failure here: the swaps are all that is asked.
template <class T>
void getrf(MatrixView<T> a, blas::int_t* swaps);

}  // namespace randnla::lapack
