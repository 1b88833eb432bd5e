# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
# randnla_warnings: an interface target with the house's warnings and sanitizers.
add_library(randnla_warnings INTERFACE)
target_compile_options(randnla_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow)
if(RANDNLA_WERROR)
  target_compile_options(randnla_warnings INTERFACE -Werror)
endif()
if(RANDNLA_SANITIZE)
  add_compile_options(-fsanitize=${RANDNLA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS)
  add_link_options(-fsanitize=${RANDNLA_SANITIZE})
endif()
