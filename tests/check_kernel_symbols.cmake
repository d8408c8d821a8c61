# cmake -DNM=... -DOBJECTS=... -DISA=... -P check_kernel_symbols.cmake
#
# The objects of an instruction set may offer the linker their kernel tables and nothing else: of an inline function that
# several objects offer the linker keeps any one, and an AVX-512 one is a crash on an older processor. Neither may it run
# code when the program starts, before the instruction set has been chosen.
cmake_minimum_required(VERSION 3.22)
execute_process(COMMAND ${NM} --demangle --defined-only ${OBJECTS} OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)

set(tables "xbn::kernels::${ISA}_table" "xbn::kernels::${ISA}_fused")
if(ISA STREQUAL avx512)
  list(APPEND tables xbn::kernels::avx512_halved_table)
endif()
set(missing ${tables})
set(offences "")
string(REGEX MATCHALL "[^\n]+" symbols "${listing}")
foreach(symbol IN LISTS symbols)
  if(symbol MATCHES "\\.o:$")
    continue()
  endif()
  if(NOT symbol MATCHES "^[0-9a-f]* *([A-Za-z]) (.*)$")
    message(FATAL_ERROR "nm's line is not understood: ${symbol}")
  endif()
  set(type ${CMAKE_MATCH_1})
  set(name "${CMAKE_MATCH_2}")
  if(name IN_LIST tables AND type MATCHES "^[DR]$")
    list(REMOVE_ITEM missing "${name}")
  elseif(NOT type MATCHES "^[abdnprst]$" OR name MATCHES "^_GLOBAL__sub_I_|global_var_init")
    string(APPEND offences "\n  ${type} ${name}")
  endif()
endforeach()

if(missing)
  message(FATAL_ERROR "${OBJECTS} do not define ${missing}")
endif()
if(offences)
  message(FATAL_ERROR "${OBJECTS} define more than ${tables}:${offences}")
endif()
