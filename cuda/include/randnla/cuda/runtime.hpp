// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

namespace randnla::cuda {

// "ready", "no driver" (none, or one too old), "no device", or "emulated".
std::string device_state();

}  // namespace randnla::cuda
