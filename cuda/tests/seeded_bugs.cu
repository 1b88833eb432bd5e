// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "seeded_bugs.hpp"

#include <map>

#include "randnla/cuda/gpu.hpp"

namespace randnla::emulator {
namespace {

constexpr int n = 64;
constexpr unsigned all_lanes = 0xFFFFFFFFU;

int self() {
    return static_cast<int>(threadIdx.x);
}

// ---- sound: the detectors must stay silent ----

__global__ void reversal(int* data) {
    GPU_SHARED(int, s, n);
    s[self()] = gpu::load(data + self());
    __syncthreads();
    gpu::store(data + self(), static_cast<int>(s[n - 1 - self()]));
}
// Two arrays declared on one line are two arrays.
__global__ void two_arrays(int* data) {
    // clang-format off
    GPU_SHARED(int, s, n); GPU_SHARED(int, t, n);
    // clang-format on
    s[self()] = gpu::load(data + self());
    t[self()] = 1000;
    __syncthreads();
    gpu::store(data + self(), s[n - 1 - self()] + t[self() ^ 1]);
}
__global__ void warp_sums(int* data) {
    int v = gpu::load(data + self());
    for (int bits = 16; bits > 0; bits /= 2) v += __shfl_xor_sync(all_lanes, v, bits);
    const unsigned odd = __ballot_sync(all_lanes, self() % 2);
    gpu::store(data + self(), odd == 0xAAAAAAAAU ? v : -1);
}
__global__ void half_warps(int* data) {
    const unsigned mask = self() % 32 < 16 ? 0xFFFFU : 0xFFFF0000U;
    const int v = gpu::load(data + self());
    gpu::store(data + self(), __shfl_sync(mask, v, self() % 32 < 16 ? 3 : 20));
}
__global__ void warp_exchange_in_memory(int* data) {
    GPU_SHARED(int, s, n);
    s[self()] = gpu::load(data + self());
    __syncwarp();
    gpu::store(data + self(), static_cast<int>(s[self() ^ 1]));
}
__global__ void several_readers(int* data) {
    GPU_SHARED(int, s, 1);
    if (self() == 0) s[0] = 5;
    __syncthreads();
    const int v = s[0];
    __syncthreads();
    if (self() == 7) s[0] = 6;
    __syncthreads();
    gpu::store(data + self(), v + s[0]);
}

// A(r, k) = r if k = 0, B(k, c) = 8 - c if k = 0: entry (g, 2t) of each warp's product.
__global__ void tensor_product(int* data) {
    const int lane = self() % 32, g = lane / 4, t = lane % 4;
    int c[4] = {100, 0, 0, 0};
    const auto byte = [&](int value) { return t == 0 ? static_cast<std::uint32_t>(value) : 0U; };
    gpu::mma_s8(c, {byte(g), byte(g + 8), 0, 0}, {byte(8 - g), 0});
    gpu::store(data + self(), c[0]);
}

// ---- one bug each ----

__global__ void missing_barrier(int* data) {
    GPU_SHARED(int, s, n);
    s[self()] = gpu::load(data + self());
    gpu::store(data + self(), static_cast<int>(s[self() / 2]));
}
__global__ void missing_barrier_before_reuse(int* data) {
    GPU_SHARED(int, s, n);
    s[self()] = gpu::load(data + self());
    __syncthreads();
    gpu::store(data + self(), static_cast<int>(s[n - 1 - self()]));
    s[self()] = 0;
}
__global__ void two_writers(int*) {
    GPU_SHARED(int, s, 1);
    s[0] = self();
}
__global__ void missing_syncwarp(int* data) {
    GPU_SHARED(int, s, n);
    s[self()] = 1;
    gpu::store(data + self(), static_cast<int>(s[self() ^ 1]));
}
__global__ void divergent_barrier(int*) {
    if (self() < 32)
        __syncthreads();
    else
        __syncthreads();
}
__global__ void barrier_after_exit(int*) {
    if (self() == 0) return;
    __syncthreads();
}
__global__ void barrier_and_exit(int*) {
    if (self() != n - 1) __syncthreads();
}
__global__ void barrier_against_warp(int*) {
    if (self() == 40) __syncwarp();
    if (self() != 40) __syncthreads();
}
__global__ void mask_without_caller(int* data) {
    gpu::store(data + self(), __shfl_sync(0xFFFFU, 1, 0));
}
__global__ void masks_differ(int* data) {
    const unsigned mask = self() % 2 == 0 ? all_lanes : 0x7FFFFFFFU;
    gpu::store(data + self(), __shfl_sync(mask, 1, 0));
}
__global__ void lane_has_returned(int* data) {
    if (self() % 32 == 5) return;
    gpu::store(data + self(), __shfl_sync(all_lanes, 1, 0));
}
__global__ void tensor_product_without_a_lane(int* data) {
    if (self() == 3) return;
    int c[4] = {};
    gpu::mma_s8(c, {0, 0, 0, 0}, {0, 0});
    gpu::store(data + self(), c[0]);
}
__global__ void source_outside_of_mask(int* data) {
    if (self() % 32 < 16) gpu::store(data + self(), __shfl_sync(0xFFFFU, 1, 20));
}
__global__ void shared_out_of_bounds(int*) {
    GPU_SHARED(int, s, n);
    s[self() + 1] = 0;
}
__global__ void shared_never_written(int* data) {
    GPU_SHARED(int, s, n);
    if (self() != 9) s[self()] = 0;
    __syncthreads();
    gpu::store(data + self(), static_cast<int>(s[self()]));
}
__global__ void global_out_of_bounds(int* data) {
    gpu::store(data + self() + 1, 0);
}
__global__ void global_misaligned(int* data) {
    int v[4];
    gpu::load_pack(data + 1, v);
    gpu::store(data, v[0]);
}
__global__ void shared_misaligned(int* data) {
    GPU_SHARED(int, s, 2 * n);
    int v[4];
    gpu::load_shared(s, 2, v);
    gpu::store(data, v[0]);
}
__global__ void static_too_large(int*) {
    GPU_SHARED(double, s, 6145);
    s[self()] = 0;
}
__global__ void dynamic_too_large(int*) {
    GPU_DYNAMIC_SHARED(int, s, 0, n + 1);
    s[self()] = 0;
}
__global__ void dynamic_overlap(int*) {
    GPU_DYNAMIC_SHARED(int, s, 0, n / 2);
    GPU_DYNAMIC_SHARED(int, t, 64, n / 4);
    if (self() < 16) s[self()] = t[self()];
}
// Right in one order of the threads only; all accesses are to global memory.
__global__ void depends_on_order(int* data) {
    if (self() > 0) gpu::store(data + self(), gpu::load(data + self() - 1));
}

}  // namespace

void run_trial(const std::string& name, int* data) {
#define TRIAL(kernel)   \
    {                   \
        #kernel, kernel \
    }
    static const std::map<std::string, void (*)(int*)> trials = {
        TRIAL(reversal),
        TRIAL(two_arrays),
        TRIAL(warp_sums),
        TRIAL(half_warps),
        TRIAL(warp_exchange_in_memory),
        TRIAL(several_readers),
        TRIAL(tensor_product),
        TRIAL(missing_barrier),
        TRIAL(missing_barrier_before_reuse),
        TRIAL(two_writers),
        TRIAL(missing_syncwarp),
        TRIAL(divergent_barrier),
        TRIAL(barrier_after_exit),
        TRIAL(barrier_and_exit),
        TRIAL(barrier_against_warp),
        TRIAL(mask_without_caller),
        TRIAL(masks_differ),
        TRIAL(lane_has_returned),
        TRIAL(tensor_product_without_a_lane),
        TRIAL(source_outside_of_mask),
        TRIAL(shared_out_of_bounds),
        TRIAL(shared_never_written),
        TRIAL(global_out_of_bounds),
        TRIAL(global_misaligned),
        TRIAL(shared_misaligned),
        TRIAL(static_too_large),
        TRIAL(dynamic_too_large),
        TRIAL(dynamic_overlap),
        TRIAL(depends_on_order)};
#undef TRIAL
    if (name == "too_many_threads") return gpu::launch(reversal, 1, 1025, 0, nullptr, data);
    if (name == "empty_grid") return gpu::launch(reversal, 0, n, 0, nullptr, data);
    if (name == "launch_shared_too_large")
        return gpu::launch(reversal, 1, n, 227 * 1024 + 1, nullptr, data);
    gpu::launch(trials.at(name), 1, n, n * sizeof(int), nullptr, data);
}

}  // namespace randnla::emulator
