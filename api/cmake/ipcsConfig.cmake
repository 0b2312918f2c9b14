# find_package(ipcs): the target ipcs::api (headers) and the function ipcs_add_plugin().
include(${CMAKE_CURRENT_LIST_DIR}/ipcsTargets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/ipcs_add_plugin.cmake)
