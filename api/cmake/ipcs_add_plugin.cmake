# ipcs_add_plugin(NAME SOURCES file… [LIBRARIES lib…] [OUTPUT_DIRECTORY directory] [STATIC_RUNTIME])
#
# Builds the storage plugin NAME.so as the target ipcs_plugin_NAME: hidden visibility, one exported symbol, nothing
# unresolved, all of it bound at load. It lies in OUTPUT_DIRECTORY, by default ${IPCS_PLUGIN_OUTPUT_DIRECTORY} or, where
# that is not set, the current binary directory.
# STATIC_RUNTIME links the C++ standard library into the plugin: needed when its compiler or its standard library is not
# the host's (libc++, a newer g++). Never link libgcc statically beside it: exceptions need the process's one unwinder.
function(ipcs_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STATIC_RUNTIME" "OUTPUT_DIRECTORY" "SOURCES;LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "ipcs_add_plugin(${name}): SOURCES is needed; unexpected: '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  set(version_script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  set(target ipcs_plugin_${name})
  add_library(${target} MODULE ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE ipcs::api ${arg_LIBRARIES})
  target_compile_definitions(${target} PRIVATE IPCS_BUILD_PLUGIN)
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${version_script})
  target_link_options(${target} PRIVATE "LINKER:--version-script=${version_script}" LINKER:-z,now)
  if(NOT IPCS_SANITIZE) # a sanitizer's runtime is in the program, so its symbols are not found here
    target_link_options(${target} PRIVATE LINKER:-z,defs)
  endif()
  if(arg_STATIC_RUNTIME)
    target_link_options(${target} PRIVATE -static-libstdc++)
  endif()
  if(NOT arg_OUTPUT_DIRECTORY)
    set(arg_OUTPUT_DIRECTORY ${IPCS_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  if(arg_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${arg_OUTPUT_DIRECTORY})
  endif()
endfunction()
