# cmake -DNM=... -DOBJECT=... -DISA=... -P check_kernel_symbols.cmake
#
# The object of an instruction set may offer the linker its kernel table and nothing else: of an inline function that
# several objects offer the linker keeps any one, and an AVX-512 one is a crash on an older processor. Neither may it run
# code when the program starts, before the instruction set has been chosen.
execute_process(COMMAND ${NM} --demangle --defined-only ${OBJECT} OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)

set(table "xbn::kernels::${ISA}_table")
set(has_table FALSE)
set(offences "")
string(REGEX MATCHALL "[^\n]+" symbols "${listing}")
foreach(symbol IN LISTS symbols)
  if(NOT symbol MATCHES "^[0-9a-f]* *([A-Za-z]) (.*)$")
    message(FATAL_ERROR "nm's line is not understood: ${symbol}")
  endif()
  set(type ${CMAKE_MATCH_1})
  set(name "${CMAKE_MATCH_2}")
  if(name STREQUAL table AND type MATCHES "^[DR]$")
    set(has_table TRUE)
  elseif(NOT type MATCHES "^[abdnprst]$" OR name MATCHES "^_GLOBAL__sub_I_|global_var_init")
    string(APPEND offences "\n  ${type} ${name}")
  endif()
endforeach()

if(NOT has_table)
  message(FATAL_ERROR "${OBJECT} does not define ${table}")
endif()
if(offences)
  message(FATAL_ERROR "${OBJECT} defines more than ${table}:${offences}")
endif()
