# Interface targets through which every target of the project gets its warnings, sanitizers and arithmetic. They reach
# consumers of the installed package only as $<BUILD_INTERFACE:...>, that is, not at all.

add_library(xbn_warnings INTERFACE)
target_compile_options(xbn_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                              $<$<BOOL:${XBN_WERROR}>:-Werror>)

add_library(xbn_sanitizers INTERFACE)
if(XBN_SANITIZE)
  target_compile_options(xbn_sanitizers INTERFACE -fsanitize=${XBN_SANITIZE} -fno-sanitize-recover=all
                                                  -fno-omit-frame-pointer)
  target_link_options(xbn_sanitizers INTERFACE -fsanitize=${XBN_SANITIZE})
endif()

# Contraction would give g++ and clang++ different bits.
add_library(xbn_arithmetic INTERFACE)
target_compile_options(xbn_arithmetic INTERFACE -ffp-contract=off)
