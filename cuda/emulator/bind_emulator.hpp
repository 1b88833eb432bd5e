// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "emulator.hpp"
#include "seeded_bugs.hpp"

namespace randnla::emulator {

inline void bind(pybind11::module_& m) {
    namespace py = pybind11;
    py::register_exception<Error>(m, "EmulatorError", PyExc_RuntimeError);
    m.def("set_order", [](const std::string& name, std::uint64_t seed) {
        if (name != "forward" && name != "reverse" && name != "random")
            throw py::value_error("order: expected forward, reverse or random, got " + name);
        settings() = {name == "forward"   ? Order::forward
                      : name == "reverse" ? Order::reverse
                                          : Order::random,
                      seed};
    });
    m.def("register_buffer", [](std::uintptr_t address, std::size_t bytes) {
        register_buffer(reinterpret_cast<const void*>(address), bytes);
    });
    m.def("clear_buffers", &clear_buffers);
    m.def("reset_counters", [] { counters() = {}; });
    m.def("counters", [] {
        const Counters& c = counters();
        py::dict all;
        all["launches"] = c.launches;
        all["blocks"] = c.blocks;
        all["barriers"] = c.barriers;
        all["warp_operations"] = c.warp_operations;
        all["bytes_read"] = c.bytes_read;
        all["bytes_written"] = c.bytes_written;
        return all;
    });
    m.def("run_trial", [](const std::string& name, std::uintptr_t data) {
        run_trial(name, reinterpret_cast<int*>(data));
    });
}

}  // namespace randnla::emulator
