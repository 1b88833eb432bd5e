// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
//
// The emulator without Python, to be built with sanitizers: runs the trial kernels that are named,
// or, without a name, some kernels of the library, in three orders of the threads.
#include <cstdio>
#include <numeric>
#include <vector>

#include "emulator.hpp"
#include "randnla/cuda/api.hpp"
#include "seeded_bugs.hpp"

namespace {

using randnla::emulator::Order;

void run_kernels() {
    using namespace randnla::cuda;
    const index_t m = 70, n = 35;
    std::vector<float> x(m * n), y(m * n);
    std::iota(x.begin(), x.end(), 1.0F);
    const Matrix<const float> columns{x.data(), m, n, 1, m}, none{};
    const Matrix<float> out{y.data(), m, n, n, 1};
    combine<float, float>(2.0, columns, Matrix<const double>{}, 0.0, none, out, nullptr);
    std::vector<double> found(3 * n), work(static_cast<std::size_t>(column_peaks_work(m, n)));
    column_peaks<float>(Matrix<const float>{y.data(), m, n, n, 1}, 1.0, found.data(), work.data(),
                        nullptr);
    std::printf("%g %g\n", found[0], found[2 * n]);
}

}  // namespace

int main(int count, char** names) {
    for (const Order order : {Order::forward, Order::reverse, Order::random}) {
        randnla::emulator::settings() = {order, 1};
        if (count == 1) run_kernels();
        for (int i = 1; i < count; ++i) {
            std::vector<int> data(64);
            std::iota(data.begin(), data.end(), 0);
            randnla::emulator::run_trial(names[i], data.data());
            std::printf("%s %d\n", names[i], std::accumulate(data.begin(), data.end(), 0));
        }
    }
    return 0;
}
