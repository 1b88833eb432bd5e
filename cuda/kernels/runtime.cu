// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cstring>
#include <string>

#include "randnla/cuda/gpu.hpp"
#include "randnla/cuda/runtime.hpp"

namespace randnla::cuda {

#ifdef RANDNLA_EMULATE
std::string device_state() {
    return "emulated";
}
void copy_to_host(void* to, const void* from, std::size_t bytes, void*) {
    std::memcpy(to, from, bytes);
}
void copy_to_device(void* to, const void* from, std::size_t bytes, void*) {
    std::memcpy(to, from, bytes);
}
#else
std::string device_state() {
    int driver = 0, devices = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no driver";
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        cudaGetLastError();  // the failure must not stick to the next call
        return "no device";
    }
    return "ready";
}
void copy_to_host(void* to, const void* from, std::size_t bytes, void* stream) {
    const auto order = static_cast<cudaStream_t>(stream);
    gpu::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, order), "copy to the host");
    gpu::check(cudaStreamSynchronize(order), "copy to the host");
}
// The source may be freed at once: pageable memory is staged before the call returns.
void copy_to_device(void* to, const void* from, std::size_t bytes, void* stream) {
    gpu::check(
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)),
        "copy to the device");
}
#endif

}  // namespace randnla::cuda
