# `cpack` in a build directory makes ipcs_*.deb and ipcs-dev_*.deb of what has been built there.
block()
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ipcs)
set(CPACK_PACKAGE_CONTACT "ipcs developers <ipcs@ipcs.invalid>")
set(CPACK_PACKAGE_VENDOR ipcs)
set(CPACK_STRIP_FILES ON)
# DESTDIR, so that /etc and /lib are taken too.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(here ${CMAKE_CURRENT_LIST_DIR})
set(CPACK_PRE_BUILD_SCRIPTS ${here}/open_folders.cmake)
set(made ${PROJECT_BINARY_DIR}/package)

# Debian's changelog and copyright: policy wants both in each package, compressed and by these names.
find_program(GZIP gzip REQUIRED)
configure_file(${here}/changelog.in ${made}/changelog.Debian @ONLY)
execute_process(COMMAND ${GZIP} -9nkf ${made}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)
foreach(package ipcs ipcs-dev)
  string(REPLACE ipcs-dev development component ${package})
  string(REPLACE ipcs daemon component ${component})
  install(FILES ${made}/changelog.Debian.gz ${here}/copyright DESTINATION share/doc/${package}
          COMPONENT ${component}-debian EXCLUDE_FROM_ALL)
endforeach()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENTS_ALL daemon daemon-debian development development-debian)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_DEBIAN_DAEMON_PACKAGE_NAME ipcs)
set(CPACK_DEBIAN_DAEMON_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_DAEMON_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DAEMON_PACKAGE_RECOMMENDS "containerd (>= 1.6)")
set(CPACK_DEBIAN_DAEMON_PACKAGE_SUGGESTS "rootlesskit, uidmap")
set(CPACK_DEBIAN_DAEMON_PACKAGE_CONTROL_STRICT_PERMISSION ON)
file(WRITE ${made}/conffiles "/etc/ipcs/config.toml\n")
set(CPACK_DEBIAN_DAEMON_PACKAGE_CONTROL_EXTRA ${made}/conffiles ${here}/postinst ${here}/prerm ${here}/postrm)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME ipcs-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS ipcs)

set(CPACK_DEBIAN_DAEMON_DESCRIPTION
"The daemon ipcsd serves a content store to containerd as a proxy plugin and
loads the storage backend from a shared object; ipcsctl is the operator's tool.")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
"The C interface between ipcsd and its storage backends, the C++ classes on top
of it and a CMake package with ipcs_add_plugin().")

include(CPack)
cpack_add_component_group(daemon)
cpack_add_component_group(development)
cpack_add_component(daemon GROUP daemon)
cpack_add_component(daemon-debian GROUP daemon)
cpack_add_component(development GROUP development)
cpack_add_component(development-debian GROUP development)
endblock()
