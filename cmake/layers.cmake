# tutti_layer(NAME SOURCES ... USES layer-or-library ...): a static library, includes relative to the root.
function(tutti_layer name)
  cmake_parse_arguments(L "" "" "SOURCES;USES" ${ARGN})
  add_library(tutti_${name} STATIC ${L_SOURCES})
  target_include_directories(tutti_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(tutti_${name} PUBLIC ${L_USES})
  list(TRANSFORM L_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set_target_properties(tutti_${name} PROPERTIES TUTTI_SOURCES "${L_SOURCES}")
endfunction()

# tutti_layer_mutants(NAME): the objects of a layer with the deliberate bugs of common/base/mutant.h in them. They come
# before the layer itself, which then gives only what is generated.
function(tutti_layer_mutants name)
  get_target_property(sources tutti_${name} TUTTI_SOURCES)
  get_target_property(libraries tutti_${name} LINK_LIBRARIES)
  add_library(tutti_${name}_mutants OBJECT EXCLUDE_FROM_ALL ${sources})
  target_link_libraries(tutti_${name}_mutants PRIVATE ${libraries})
  target_include_directories(tutti_${name}_mutants PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(tutti_${name}_mutants PRIVATE TUTTI_MUTANTS)
endfunction()

# tutti_unit(NAME USES layer...): tests/unit/.../test_NAME.c as one Criterion program and one ctest.
function(tutti_unit name)
  cmake_parse_arguments(T "" "" "SOURCES;USES" ${ARGN})
  add_executable(test_${name} test_${name}.c ${T_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${T_USES} PkgConfig::CRITERION)
  target_compile_definitions(test_${name} PRIVATE TUTTI_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                  TUTTI_BINARY_DIR="${PROJECT_BINARY_DIR}")
  # Criterion's assertion macros convert freely; our own code stays under -Wconversion.
  target_compile_options(test_${name} PRIVATE -Wno-conversion -Wno-sign-conversion -Wno-missing-prototypes)
  add_test(NAME unit.${name} COMMAND test_${name} --timeout 120)
  set_tests_properties(unit.${name} PROPERTIES TIMEOUT 300)
endfunction()

# tutti_embed(TARGET PREFIX file...): each text file becomes `const char PREFIX_<stem>[]` in a source of TARGET.
function(tutti_embed target prefix)
  foreach(file ${ARGN})
    get_filename_component(stem ${file} NAME_WE)
    string(MAKE_C_IDENTIFIER ${stem} stem)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${prefix}_${stem}.c)
    add_custom_command(OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DIN=${CMAKE_CURRENT_SOURCE_DIR}/${file} -DOUT=${out} -DNAME=${prefix}_${stem}
              -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
      DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake)
    target_sources(${target} PRIVATE ${out})
  endforeach()
endfunction()
