// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <string>

namespace randnla::cuda {

// "ready", "no driver" (none, or one too old), "no device", or "emulated".
std::string device_state();

// Contiguous memory, in the order of the stream. The host waits for what it reads.
void copy_to_host(void* to, const void* from, std::size_t bytes, void* stream);
void copy_to_device(void* to, const void* from, std::size_t bytes, void* stream);

}  // namespace randnla::cuda
