// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

namespace randnla::emulator {

// Runs one of the trial kernels of seeded_bugs.cu on 64 integers: sound ones, and ones with a bug
// that a detector of the emulator must report.
void run_trial(const std::string& name, int* data);

}  // namespace randnla::emulator
