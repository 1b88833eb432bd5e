# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
# Each file of csrc/src/isa/ is compiled once per instruction set level, with RANDNLA_ISA naming the
# namespace its kernel table lives in; isa.hpp chooses among the tables at load.
#
# -ffp-contract=off: an operator entry must have the same bits with and without FMA hardware. Kernels
# that want a fused multiply-add write it out. -fno-math-errno -fno-trapping-math: without them g++
# does not vectorise sqrt and comparisons; neither changes a result.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-march=x86-64-v4 RANDNLA_HAVE_X86_LEVELS)
if(RANDNLA_HAVE_X86_LEVELS)
  set(RANDNLA_ISA_LEVELS v2 v3 v4)
else()
  set(RANDNLA_ISA_LEVELS baseline)
endif()

function(randnla_add_isa_sources target)
  foreach(level IN LISTS RANDNLA_ISA_LEVELS)
    set(objects ${target}_${level})
    add_library(${objects} OBJECT ${ARGN})
    target_include_directories(${objects} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/include")
    target_compile_definitions(${objects} PRIVATE RANDNLA_ISA=${level})
    target_compile_options(${objects} PRIVATE -ffp-contract=off -fno-math-errno -fno-trapping-math)
    if(NOT level STREQUAL "baseline")
      target_compile_options(${objects} PRIVATE -march=x86-64-${level})
    endif()
    if(level STREQUAL "v4")
      target_compile_options(${objects} PRIVATE -mprefer-vector-width=512)
    endif()
    target_link_libraries(${objects} PRIVATE randnla_warnings)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
  if(RANDNLA_HAVE_X86_LEVELS)
    target_compile_definitions(${target} PUBLIC RANDNLA_X86_LEVELS=1)
  endif()
endfunction()
