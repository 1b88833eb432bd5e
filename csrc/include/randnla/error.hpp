// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>

namespace randnla {

// The kinds of failure a caller can tell apart; the bindings turn each into the Python class of the
// same name.
enum class ErrorKind { input, non_finite, capacity, breakdown };

class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
    ErrorKind kind() const noexcept { return kind_; }

  private:
    ErrorKind kind_;
};

// Thrown out of a long loop once the host has asked to stop (Ctrl-C).
class Interrupted : public std::exception {
  public:
    const char* what() const noexcept override { return "interrupted"; }
};

inline void require(bool condition, const char* message) {
    if (!condition) throw Error(ErrorKind::input, message);
}

}  // namespace randnla
