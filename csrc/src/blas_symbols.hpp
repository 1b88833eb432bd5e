// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/blas.hpp"

#ifdef RANDNLA_BLAS_VENDORED
#define RANDNLA_BLAS_SYMBOL(name) scipy_##name
#else
#define RANDNLA_BLAS_SYMBOL(name) name
#endif

// Prototypes for one precision: P is the BLAS letter, T the type.
#define RANDNLA_BLAS_PROTOTYPES(P, T)                                                              \
    void RANDNLA_BLAS_SYMBOL(cblas_##P##gemm)(int, int, int, int, int, int, T, const T*, int,      \
                                              const T*, int, T, T*, int);                          \
    void RANDNLA_BLAS_SYMBOL(cblas_##P##gemv)(int, int, int, int, T, const T*, int, const T*, int, \
                                              T, T*, int);                                         \
    void RANDNLA_BLAS_SYMBOL(cblas_##P##syrk)(int, int, int, int, int, T, const T*, int, T, T*,    \
                                              int);                                                \
    void RANDNLA_BLAS_SYMBOL(cblas_##P##trsm)(int, int, int, int, int, int, int, T, const T*, int, \
                                              T*, int);                                            \
    void RANDNLA_BLAS_SYMBOL(P##potrf_)(const char*, const int*, T*, const int*, int*,             \
                                        std::size_t);                                              \
    void RANDNLA_BLAS_SYMBOL(P##potri_)(const char*, const int*, T*, const int*, int*,             \
                                        std::size_t);                                              \
    void RANDNLA_BLAS_SYMBOL(P##potrs_)(const char*, const int*, const int*, const T*, const int*, \
                                        T*, const int*, int*, std::size_t);                        \
    void RANDNLA_BLAS_SYMBOL(P##trtri_)(const char*, const char*, const int*, T*, const int*,      \
                                        int*, std::size_t, std::size_t);                           \
    void RANDNLA_BLAS_SYMBOL(P##sygst_)(const int*, const char*, const int*, T*, const int*,       \
                                        const T*, const int*, int*, std::size_t);                  \
    void RANDNLA_BLAS_SYMBOL(P##sytrd_)(const char*, const int*, T*, const int*, T*, T*, T*, T*,   \
                                        const int*, int*, std::size_t);                            \
    void RANDNLA_BLAS_SYMBOL(P##stedc_)(const char*, const int*, T*, T*, T*, const int*, T*,       \
                                        const int*, int*, const int*, int*, std::size_t);          \
    void RANDNLA_BLAS_SYMBOL(P##laed1_)(const int*, T*, T*, const int*, int*, const T*,            \
                                        const int*, T*, int*, int*);                               \
    void RANDNLA_BLAS_SYMBOL(P##ormtr_)(                                                           \
        const char*, const char*, const char*, const int*, const int*, const T*, const int*,       \
        const T*, T*, const int*, T*, const int*, int*, std::size_t, std::size_t, std::size_t);    \
    void RANDNLA_BLAS_SYMBOL(P##gesdd_)(const char*, const int*, const int*, T*, const int*, T*,   \
                                        T*, const int*, T*, const int*, T*, const int*, int*,      \
                                        int*, std::size_t);                                        \
    void RANDNLA_BLAS_SYMBOL(P##geqrf_)(const int*, const int*, T*, const int*, T*, T*,            \
                                        const int*, int*);                                         \
    void RANDNLA_BLAS_SYMBOL(P##orgqr_)(const int*, const int*, const int*, T*, const int*,        \
                                        const T*, T*, const int*, int*);                           \
    void RANDNLA_BLAS_SYMBOL(P##geqrt3_)(const int*, const int*, T*, const int*, T*, const int*,   \
                                         int*);                                                    \
    void RANDNLA_BLAS_SYMBOL(P##geqp3_)(const int*, const int*, T*, const int*, int*, T*, T*,      \
                                        const int*, int*);                                         \
    void RANDNLA_BLAS_SYMBOL(P##getrf_)(const int*, const int*, T*, const int*, int*, int*);

extern "C" {
RANDNLA_BLAS_PROTOTYPES(s, float)
RANDNLA_BLAS_PROTOTYPES(d, double)
#ifdef RANDNLA_BLAS_VENDORED
void scipy_openblas_set_num_threads(int);
int scipy_openblas_get_num_threads();
char* scipy_openblas_get_config();
char* scipy_openblas_get_corename();
#else
// Null where the system's BLAS is not OpenBLAS.
[[gnu::weak]] void openblas_set_num_threads(int);
[[gnu::weak]] int openblas_get_num_threads();
[[gnu::weak]] char* openblas_get_config();
[[gnu::weak]] char* openblas_get_corename();
#endif
}

namespace randnla::blas {
constexpr int row_major_order = 101, no_trans = 111, trans = 112, upper = 121, non_unit = 131,
              right = 142;

// The routine of one precision, as data.
template <class T>
struct Routines;
#define RANDNLA_BLAS_ROUTINES(P, T)                                        \
    template <>                                                            \
    struct Routines<T> {                                                   \
        static constexpr auto gemm = RANDNLA_BLAS_SYMBOL(cblas_##P##gemm); \
        static constexpr auto gemv = RANDNLA_BLAS_SYMBOL(cblas_##P##gemv); \
        static constexpr auto syrk = RANDNLA_BLAS_SYMBOL(cblas_##P##syrk); \
        static constexpr auto trsm = RANDNLA_BLAS_SYMBOL(cblas_##P##trsm); \
        static constexpr auto potrf = RANDNLA_BLAS_SYMBOL(P##potrf_);      \
        static constexpr auto potri = RANDNLA_BLAS_SYMBOL(P##potri_);      \
        static constexpr auto potrs = RANDNLA_BLAS_SYMBOL(P##potrs_);      \
        static constexpr auto trtri = RANDNLA_BLAS_SYMBOL(P##trtri_);      \
        static constexpr auto sygst = RANDNLA_BLAS_SYMBOL(P##sygst_);      \
        static constexpr auto sytrd = RANDNLA_BLAS_SYMBOL(P##sytrd_);      \
        static constexpr auto stedc = RANDNLA_BLAS_SYMBOL(P##stedc_);      \
        static constexpr auto laed1 = RANDNLA_BLAS_SYMBOL(P##laed1_);      \
        static constexpr auto ormtr = RANDNLA_BLAS_SYMBOL(P##ormtr_);      \
        static constexpr auto gesdd = RANDNLA_BLAS_SYMBOL(P##gesdd_);      \
        static constexpr auto geqrf = RANDNLA_BLAS_SYMBOL(P##geqrf_);      \
        static constexpr auto orgqr = RANDNLA_BLAS_SYMBOL(P##orgqr_);      \
        static constexpr auto geqrt3 = RANDNLA_BLAS_SYMBOL(P##geqrt3_);    \
        static constexpr auto geqp3 = RANDNLA_BLAS_SYMBOL(P##geqp3_);      \
        static constexpr auto getrf = RANDNLA_BLAS_SYMBOL(P##getrf_);      \
    };
RANDNLA_BLAS_ROUTINES(s, float)
RANDNLA_BLAS_ROUTINES(d, double)
}  // namespace randnla::blas
