// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <map>

#include "randnla/blas.hpp"
#include "randnla/error.hpp"
#include "randnla/isa.hpp"
#include "randnla/threads.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

namespace py = pybind11;

const char* python_name(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::non_finite:
            return "NonFiniteError";
        case ErrorKind::capacity:
            return "CapacityError";
        case ErrorKind::breakdown:
            return "BreakdownError";
        default:
            return "InputError";
    }
}

void translate(std::exception_ptr p) {
    try {
        if (p) std::rethrow_exception(p);
    } catch (const Error& error) {
        const py::object type =
            py::module_::import("randnla._backend.errors").attr(python_name(error.kind()));
        PyErr_SetString(type.ptr(), error.what());
    } catch (const Interrupted&) {
        // The poll found the signal and Python has set its exception, KeyboardInterrupt as a rule.
        if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
}

// Python answers signals on its main thread, which is the process's where nobody embeds it.
bool answers_signals() {
#ifdef __linux__
    return static_cast<pid_t>(syscall(SYS_gettid)) == getpid();
#else
    return true;
#endif
}

// Called by the thread that entered the core, which has released the GIL. Threads that answer no
// signals do not ask for it: where the interpreter ends meanwhile, Python would unwind them, in the
// middle of a team.
bool python_wants_to_stop() {
    if (!answers_signals()) return false;
    const PyGILState_STATE state = PyGILState_Ensure();
    const bool stop = PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    return stop;
}

std::map<std::string, std::string> build_info() {
    return {
        {"version", RANDNLA_VERSION},
        {"compiler", __VERSION__},
        {"blas", blas::config()},
        {"blas_core", blas::core_name()},
        {"instruction_set", isa_name(active_isa())},
        {"instruction_set_best", isa_name(best_isa())},
#ifdef RANDNLA_PARALLEL_STD
        {"threading", "std::thread"},
#else
        {"threading", "openmp"},
#endif
    };
}

}  // namespace

void register_runtime(py::module_& m) {
    py::register_exception_translator(translate);
    set_interrupt_poll(python_wants_to_stop);
    blas::use_one_thread();
    m.def("num_threads", &num_threads, "Members of the next thread team.");
    m.def("set_num_threads", &set_num_threads, py::arg("n"),
          "Fix the team size; 0 returns the choice to OpenMP.");
    m.def("build_info", &build_info, "Version, BLAS, instruction set.");
}

}  // namespace randnla::bindings
