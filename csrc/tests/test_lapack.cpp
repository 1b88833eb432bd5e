// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "check.hpp"
#include "randnla/blas.hpp"
#include "randnla/error.hpp"

using namespace randnla;

namespace {

template <class Call>
bool exceeds_capacity(Call call) {
    try {
        call();
    } catch (const Error& error) {
        return error.kind() == ErrorKind::capacity;
    }
    return false;
}

// Sizes that fit 32 bits but whose workspace does not. Nothing but the sizes may be looked at: the
// memory behind the views is a single number.
template <class T>
void check_refusals() {
    T one = 1;
    const index_t order = 32768;
    const MatrixView<T> square{&one, order, order, order, 1};
    const index_t more = 65536;
    const MatrixView<T> larger{&one, more, more, more, 1};
    CHECK(exceeds_capacity([&] { lapack::stedc<T>(&one, &one, larger); }));
    CHECK(exceeds_capacity([&] { lapack::gesdd<T>(square, square, &one, square); }));
    const index_t columns = index_t{1} << 26;
    const MatrixView<T> tall{&one, columns, columns, 1, columns};
    CHECK(exceeds_capacity([&] { lapack::geqrf_orgqr<T>(tall, tall); }));
}

}  // namespace

TEST(workspaces_beyond_32_bits_are_refused) {
    check_refusals<float>();
    check_refusals<double>();
}
