# find_package(omen 0.1 CONFIG REQUIRED) defines the targets omen::omen, the shared library, and omen::static. Paths are
# relative to this file, so the installed tree may be moved.
get_filename_component(_omen_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_omen_hints HINTS "${_omen_prefix}" NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
set(_omen_folders PATH_SUFFIXES lib lib64 "lib/${CMAKE_LIBRARY_ARCHITECTURE}")

find_path(omen_INCLUDE_DIR omen.h ${_omen_hints} PATH_SUFFIXES include)
find_library(omen_SHARED_LIBRARY libomen.so ${_omen_hints} ${_omen_folders})
find_library(omen_STATIC_LIBRARY libomen.a ${_omen_hints} ${_omen_folders})
mark_as_advanced(omen_INCLUDE_DIR omen_SHARED_LIBRARY omen_STATIC_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(omen REQUIRED_VARS omen_SHARED_LIBRARY omen_STATIC_LIBRARY omen_INCLUDE_DIR)

if(omen_FOUND AND NOT TARGET omen::omen)
  add_library(omen::omen SHARED IMPORTED)
  set_target_properties(omen::omen PROPERTIES
    IMPORTED_LOCATION "${omen_SHARED_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${omen_INCLUDE_DIR}")
  add_library(omen::static STATIC IMPORTED)
  set_target_properties(omen::static PROPERTIES
    IMPORTED_LOCATION "${omen_STATIC_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${omen_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "pthread;m;dl")
endif()
