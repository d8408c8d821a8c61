# cmake -DPROGRAM=... -DEXPECTED=FILE -P check_output.cmake: PROGRAM succeeds, and prints what FILE holds.
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
file(READ ${EXPECTED} expected)
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "printed:\n${printed}instead of:\n${expected}")
endif()
