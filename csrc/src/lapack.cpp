// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <limits>
#include <string>

#include "blas_symbols.hpp"
#include "randnla/blas.hpp"
#include "randnla/workspace.hpp"

namespace randnla::lapack {
namespace {

using blas::int_t;
using blas::narrow;
using blas::Routines;

index_t checked(int_t info, const char* routine) {
    if (info < 0)
        throw Error(ErrorKind::input,
                    std::string(routine) + ": argument " + std::to_string(-info) + " is invalid");
    return info;
}

// LAPACK tells sizes as floating-point numbers, which may have been rounded down.
template <class T>
int_t workspace_size(T told) {
    return narrow(static_cast<index_t>(static_cast<double>(told) * (1 + 0x1p-23)) + 1, "workspace");
}

// The documented workspace of a routine for these sizes, checked before the routine is asked: its
// own 32-bit arithmetic, that of the query too, wraps beyond. `most` bounds the optimal size from
// above with blocks of at most 64 columns.
void require_workspace(double most) {
    if (most > static_cast<double>(std::numeric_limits<int_t>::max()))
        throw Error(ErrorKind::capacity, "workspace = " + std::to_string(most) +
                                             " exceeds the 32-bit indices of the LAPACK");
}

template <class T>
int_t stride_of(const MatrixView<T>& v) {
    return narrow(std::max<index_t>(1, std::max(v.row_stride, v.cols)), "leading dimension");
}

}  // namespace

// LAPACK reads column-major: a row-major upper triangle is its lower one.
template <class T>
index_t potrf_upper(MatrixView<T> a) {
    if (a.empty()) return 0;
    const int_t n = narrow(a.rows, "order"), ld = stride_of(a);
    int_t info = 0;
    Routines<T>::potrf("L", &n, a.data, &ld, &info, 1);
    return checked(info, "potrf");
}

template <class T>
index_t potri_upper(MatrixView<T> r) {
    if (r.empty()) return 0;
    const int_t n = narrow(r.rows, "order"), ld = stride_of(r);
    int_t info = 0;
    Routines<T>::potri("L", &n, r.data, &ld, &info, 1);
    return checked(info, "potri");
}

template <class T>
void potrs_upper(MatrixView<const T> r, T* columns, index_t count) {
    if (r.empty() || count == 0) return;
    const int_t n = narrow(r.rows, "order"), ld = stride_of(r), k = narrow(count, "columns");
    int_t info = 0;
    Routines<T>::potrs("L", &n, &k, r.data, &ld, columns, &n, &info, 1);
    checked(info, "potrs");
}

template <class T>
index_t trtri_upper(MatrixView<T> r) {
    if (r.empty()) return 0;
    const int_t n = narrow(r.rows, "order"), ld = stride_of(r);
    int_t info = 0;
    Routines<T>::trtri("L", "N", &n, r.data, &ld, &info, 1, 1);
    return checked(info, "trtri");
}

template <class T>
void sygst_upper(MatrixView<const T> r, MatrixView<T> c) {
    if (c.empty()) return;
    const int_t n = narrow(c.rows, "order"), ldc = stride_of(c), ldr = stride_of(r), standard = 1;
    int_t info = 0;
    Routines<T>::sygst(&standard, "L", &n, c.data, &ldc, r.data, &ldr, &info, 1);
    checked(info, "sygst");
}

template <class T>
void sytrd_upper(MatrixView<T> a, T* diagonal, T* off_diagonal, T* tau) {
    if (a.empty()) return;
    const int_t n = narrow(a.rows, "order"), ld = stride_of(a), query = -1;
    require_workspace(64.0 * n);
    int_t info = 0;
    T work_size = 0;
    Routines<T>::sytrd("L", &n, a.data, &ld, diagonal, off_diagonal, tau, &work_size, &query, &info,
                       1);
    checked(info, "sytrd");
    const int_t lwork = workspace_size(work_size);
    const Scratch<T> work(lwork);
    Routines<T>::sytrd("L", &n, a.data, &ld, diagonal, off_diagonal, tau, work.data(), &lwork,
                       &info, 1);
    checked(info, "sytrd");
}

template <class T>
index_t stedc(T* diagonal, T* off_diagonal, MatrixView<T> v) {
    if (v.empty()) return 0;
    const int_t n = narrow(v.rows, "order"), ld = stride_of(v);
    require_workspace(1 + 4.0 * n + 1.0 * n * n);
    const int_t lwork = 1 + 4 * n + n * n, liwork = 3 + 5 * n;
    const Scratch<T> work(lwork);
    const Scratch<int_t> iwork(liwork);
    int_t info = 0;
    Routines<T>::stedc("I", &n, diagonal, off_diagonal, v.data, &ld, work.data(), &lwork,
                       iwork.data(), &liwork, &info, 1);
    return checked(info, "stedc");
}

template <class T>
index_t merge_torn(T* diagonal, MatrixView<T> v, index_t cut, T coupling, int_t* order) {
    const int_t n = narrow(v.rows, "order"), ld = stride_of(v), first = narrow(cut, "order");
    require_workspace(4.0 * n + 1.0 * n * n);
    const Scratch<T> work(4 * v.rows + v.rows * v.rows);
    const Scratch<int_t> iwork(4 * v.rows);
    for (int_t i = 0; i < n; ++i) order[i] = 1 + (i < first ? i : i - first);
    int_t info = 0;
    Routines<T>::laed1(&n, diagonal, v.data, &ld, order, &coupling, &first, work.data(),
                       iwork.data(), &info);
    for (int_t i = 0; i < n; ++i) --order[i];
    return checked(info, "laed1");
}

template <class T>
void ormtr_upper(MatrixView<const T> a, const T* tau, MatrixView<T> x) {
    if (x.empty()) return;
    const int_t n = narrow(a.rows, "order"), k = narrow(x.rows, "vectors"), lda = stride_of(a),
                ldx = stride_of(x), query = -1;
    require_workspace(64.0 * k + 65.0 * 64);
    int_t info = 0;
    T work_size = 0;
    Routines<T>::ormtr("L", "L", "N", &n, &k, a.data, &lda, tau, x.data, &ldx, &work_size, &query,
                       &info, 1, 1, 1);
    checked(info, "ormtr");
    const int_t lwork = workspace_size(work_size);
    const Scratch<T> work(lwork);
    Routines<T>::ormtr("L", "L", "N", &n, &k, a.data, &lda, tau, x.data, &ldx, work.data(), &lwork,
                       &info, 1, 1, 1);
    checked(info, "ormtr");
}

// Row-major A = U S Vh is column-major A^T = Vh^T S U^T: LAPACK's left vectors are our right ones.
template <class T>
index_t gesdd(MatrixView<T> a, MatrixView<T> u, T* s, MatrixView<T> vh) {
    if (a.empty()) return 0;
    const int_t m = narrow(a.cols, "columns"), n = narrow(a.rows, "rows"), ld = stride_of(a),
                ldu = stride_of(vh), ldvt = stride_of(u), query = -1;
    // JOBZ = 'S': 4 k^2 + 7 k at least, k^2 more for a copy of R, and block columns of both sides.
    const double k = std::min(m, n);
    require_workspace(5 * k * k + 10 * k + 64.0 * m + 64.0 * n);
    int_t info = 0;
    T work_size = 0;
    const Scratch<int_t> iwork(8 * static_cast<index_t>(std::min(m, n)));
    Routines<T>::gesdd("S", &m, &n, a.data, &ld, s, vh.data, &ldu, u.data, &ldvt, &work_size,
                       &query, iwork.data(), &info, 1);
    checked(info, "gesdd");
    const int_t lwork = workspace_size(work_size);
    const Scratch<T> work(lwork);
    Routines<T>::gesdd("S", &m, &n, a.data, &ld, s, vh.data, &ldu, u.data, &ldvt, work.data(),
                       &lwork, iwork.data(), &info, 1);
    return checked(info, "gesdd");
}

template <class T>
void geqrf_orgqr(MatrixView<T> a, MatrixView<T> r) {
    if (a.empty()) return;
    require(a.col_major() && a.rows >= a.cols, "Householder QR needs a tall column-major matrix");
    const int_t m = narrow(a.rows, "rows"), n = narrow(a.cols, "columns"),
                ld = stride_of(a.transposed()), query = -1;
    require_workspace(64.0 * n);
    int_t info = 0;
    T size_factor = 0, size_generate = 0;
    const Scratch<T> tau(n);
    Routines<T>::geqrf(&m, &n, a.data, &ld, tau.data(), &size_factor, &query, &info);
    Routines<T>::orgqr(&m, &n, &n, a.data, &ld, tau.data(), &size_generate, &query, &info);
    const int_t lwork = workspace_size(std::max(size_factor, size_generate));
    const Scratch<T> work(lwork);
    Routines<T>::geqrf(&m, &n, a.data, &ld, tau.data(), work.data(), &lwork, &info);
    checked(info, "geqrf");
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j) r(i, j) = j >= i ? a(i, j) : T(0);
    Routines<T>::orgqr(&m, &n, &n, a.data, &ld, tau.data(), work.data(), &lwork, &info);
    checked(info, "orgqr");
}

template <class T>
void geqrt(MatrixView<T> a, MatrixView<T> t) {
    if (a.empty()) return;
    require(a.col_major() && t.col_major() && a.rows >= a.cols, "geqrt needs tall column-major A");
    const int_t m = narrow(a.rows, "rows"), n = narrow(a.cols, "columns"),
                ld = stride_of(a.transposed()), ldt = stride_of(t.transposed());
    int_t info = 0;
    Routines<T>::geqrt3(&m, &n, a.data, &ld, t.data, &ldt, &info);
    checked(info, "geqrt3");
}

template <class T>
void geqp3(MatrixView<T> a, int_t* perm, T* tau) {
    if (a.empty()) return;
    require(a.col_major(), "geqp3 needs a column-major matrix");
    const int_t m = narrow(a.rows, "rows"), n = narrow(a.cols, "columns"),
                ld = stride_of(a.transposed()), query = -1;
    require_workspace(2.0 * n + 64.0 * (n + 1.0));
    std::fill(perm, perm + n, 0);
    int_t info = 0;
    T size = 0;
    Routines<T>::geqp3(&m, &n, a.data, &ld, perm, tau, &size, &query, &info);
    const int_t lwork = workspace_size(size);
    const Scratch<T> work(lwork);
    Routines<T>::geqp3(&m, &n, a.data, &ld, perm, tau, work.data(), &lwork, &info);
    checked(info, "geqp3");
    for (int_t j = 0; j < n; ++j) --perm[j];
}

template <class T>
void orgqr(MatrixView<T> a, const T* tau, index_t k) {
    if (a.empty()) return;
    require(a.col_major() && a.rows >= a.cols, "orgqr needs a tall column-major matrix");
    const int_t m = narrow(a.rows, "rows"), n = narrow(a.cols, "columns"),
                reflectors = narrow(k, "reflectors"), ld = stride_of(a.transposed()), query = -1;
    require_workspace(64.0 * n);
    int_t info = 0;
    T size = 0;
    Routines<T>::orgqr(&m, &n, &reflectors, a.data, &ld, tau, &size, &query, &info);
    const int_t lwork = workspace_size(size);
    const Scratch<T> work(lwork);
    Routines<T>::orgqr(&m, &n, &reflectors, a.data, &ld, tau, work.data(), &lwork, &info);
    checked(info, "orgqr");
}

template <class T>
void getrf(MatrixView<T> a, int_t* swaps) {
    if (a.empty()) return;
    require(a.col_major(), "getrf needs a column-major matrix");
    const int_t m = narrow(a.rows, "rows"), n = narrow(a.cols, "columns"),
                ld = stride_of(a.transposed());
    int_t info = 0;
    Routines<T>::getrf(&m, &n, a.data, &ld, swaps, &info);
    checked(info, "getrf");
    for (int_t i = 0; i < std::min(m, n); ++i) --swaps[i];
}

#define RANDNLA_INSTANTIATE(T)                                                  \
    template index_t potrf_upper<T>(MatrixView<T>);                             \
    template index_t potri_upper<T>(MatrixView<T>);                             \
    template void potrs_upper<T>(MatrixView<const T>, T*, index_t);             \
    template index_t trtri_upper<T>(MatrixView<T>);                             \
    template void sygst_upper<T>(MatrixView<const T>, MatrixView<T>);           \
    template void sytrd_upper<T>(MatrixView<T>, T*, T*, T*);                    \
    template index_t stedc<T>(T*, T*, MatrixView<T>);                           \
    template index_t merge_torn<T>(T*, MatrixView<T>, index_t, T, int_t*);      \
    template void ormtr_upper<T>(MatrixView<const T>, const T*, MatrixView<T>); \
    template index_t gesdd<T>(MatrixView<T>, MatrixView<T>, T*, MatrixView<T>); \
    template void geqrf_orgqr<T>(MatrixView<T>, MatrixView<T>);                 \
    template void geqrt<T>(MatrixView<T>, MatrixView<T>);                       \
    template void geqp3<T>(MatrixView<T>, int_t*, T*);                          \
    template void orgqr<T>(MatrixView<T>, const T*, index_t);                   \
    template void getrf<T>(MatrixView<T>, int_t*);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::lapack
