# Tests of what is shipped: the install tree, its use by another project, the public headers, the kernels' objects.

# check_consumer(NAME OPTION...): configures, builds and tests tests/consumer with the options.
function(check_consumer name)
  add_test(NAME packaging.${name}
    COMMAND ${CMAKE_CTEST_COMMAND}
      --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${CMAKE_CURRENT_BINARY_DIR}/consumer_${name}
      --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM} --build-noclean
      --build-options -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
                      -DTBB_DIR=${TBB_DIR} ${ARGN}
      --test-command ${CMAKE_CTEST_COMMAND} --output-on-failure --no-tests=error)
  set_tests_properties(packaging.${name} PROPERTIES TIMEOUT 900)
endfunction()

if(XBN_INSTALL AND NOT XBN_SANITIZE)
  set(prefix ${CMAKE_CURRENT_BINARY_DIR}/prefix)
  add_test(NAME packaging.remove_prefix COMMAND ${CMAKE_COMMAND} -E rm -rf ${prefix})
  add_test(NAME packaging.install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
  set_tests_properties(packaging.remove_prefix PROPERTIES FIXTURES_SETUP no_prefix)
  set_tests_properties(packaging.install PROPERTIES FIXTURES_REQUIRED no_prefix FIXTURES_SETUP prefix)

  check_consumer(find_package -DCMAKE_PREFIX_PATH=${prefix})
  set_tests_properties(packaging.find_package PROPERTIES FIXTURES_REQUIRED prefix)
  check_consumer(add_subdirectory -DXBN_SOURCE_DIR=${PROJECT_SOURCE_DIR})
endif()

# Every public header compiles alone, as C++17, with every compiler of this machine.
file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/include/xbn/*.hpp)
foreach(compiler IN ITEMS g++ clang++)
  find_program(XBN_HEADER_TEST_${compiler} ${compiler})
  mark_as_advanced(XBN_HEADER_TEST_${compiler})
  if(XBN_HEADER_TEST_${compiler})
    foreach(header IN LISTS headers)
      get_filename_component(stem ${header} NAME_WE)
      add_test(NAME packaging.header.${stem}.${compiler}
        COMMAND ${XBN_HEADER_TEST_${compiler}} -std=c++17 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                -Wno-sign-conversion -Werror -I ${PROJECT_SOURCE_DIR}/include -include ${header} -x c++ /dev/null)
    endforeach()
  endif()
endforeach()

get_property(targets DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTY BUILDSYSTEM_TARGETS)
foreach(target IN LISTS targets)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL OBJECT_LIBRARY AND target MATCHES "^xbn_(.*)$")
    add_test(NAME packaging.kernel_symbols.${CMAKE_MATCH_1}
      COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} -DISA=${CMAKE_MATCH_1} "-DOBJECTS=$<TARGET_OBJECTS:${target}>"
              -P ${CMAKE_CURRENT_SOURCE_DIR}/check_kernel_symbols.cmake)
  endif()
endforeach()
