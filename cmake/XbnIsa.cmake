# xbn_add_isa(NAME FLAGS...): compiles src/kernels/isa_NAME.cpp and fused_NAME.cpp with FLAGS into the library. At least
# -O2 in every build type but those with sanitizers: an inline function that is not inlined would leave code of this
# instruction set where the linker may give it to a machine without it.
function(xbn_add_isa name)
  add_library(xbn_${name} OBJECT src/kernels/isa_${name}.cpp src/kernels/fused_${name}.cpp)
  set_target_properties(xbn_${name} PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
                        POSITION_INDEPENDENT_CODE ON)
  target_include_directories(xbn_${name} PRIVATE include src)
  target_compile_options(xbn_${name} PRIVATE ${ARGN} -O3 -fno-exceptions -fno-math-errno -fno-trapping-math)
  # g++ 12 sees uninitialised values in its own AVX-512 intrinsics, and arrays overrun where loops are short.
  target_compile_options(xbn_${name} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized;-Wno-maybe-uninitialized;-Wno-stringop-overflow>)
  target_link_libraries(xbn_${name} PRIVATE xsimd xbn_warnings xbn_arithmetic)
  # All loops are inlined into each other: with more optimisation or more checks this takes a quarter of an hour a file.
  if(XBN_SANITIZE MATCHES "address")
    target_compile_options(xbn_${name} PRIVATE -O1 -g1 -fsanitize=address -fno-omit-frame-pointer)
  endif()
  target_sources(xbn PRIVATE $<TARGET_OBJECTS:xbn_${name}>)
endfunction()
