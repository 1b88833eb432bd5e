# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
# Sets RANDNLA_BUILD_CUDA from the option RANDNLA_CUDA: AUTO goes on without nvcc, ON does not.
set(RANDNLA_BUILD_CUDA OFF)
if(RANDNLA_CUDA STREQUAL "OFF" OR NOT RANDNLA_PYTHON)
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_ARCHITECTURES "${RANDNLA_CUDA_ARCHS}")
  enable_language(CUDA)
  set(RANDNLA_BUILD_CUDA ON)
elseif(RANDNLA_CUDA STREQUAL "ON")
  message(FATAL_ERROR "RANDNLA_CUDA=ON but no nvcc was found (set CUDACXX)")
else()
  message(STATUS "No nvcc was found: the device kernels are not built")
endif()
