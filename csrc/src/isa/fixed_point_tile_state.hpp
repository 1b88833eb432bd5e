// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/matrix_view.hpp"

// AMX tiles. Written in assembly, since the compiler's own names for these instructions do not say
// which memory they read: it would be free to move stores behind them.
namespace randnla::v4 {
namespace {

constexpr index_t tile_stride = 64;

// Eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
    std::uint8_t palette = 1, start = 0, reserved[14] = {};
    std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig tile_config;

#define RANDNLA_TILE_LOAD(t, p) \
    asm volatile("tileloadd (%0,%1,1), %%tmm" #t::"r"(p), "r"(tile_stride))
#define RANDNLA_TILE_STORE(t, p) \
    asm volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), "r"(tile_stride) : "memory")
#define RANDNLA_TILE_ZERO(t) asm volatile("tilezero %%tmm" #t::)

}  // namespace
}  // namespace randnla::v4
