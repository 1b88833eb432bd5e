// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <string>

#include "randnla/cuda/gpu.hpp"
#include "randnla/cuda/runtime.hpp"

namespace randnla::cuda {

#ifdef RANDNLA_EMULATE
std::string device_state() {
    return "emulated";
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
#endif

}  // namespace randnla::cuda
