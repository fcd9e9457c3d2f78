# The version is that of the installed omen.h. A version is compatible if it has the requested major version and is not older
# than the requested one; for 0.x also only if it has the same x.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../../../include/omen.h" _omen_lines REGEX "^#define OMEN_VERSION_[A-Z]+ [0-9]+$")
string(REGEX REPLACE "[^0-9;]" "" _omen_numbers "${_omen_lines}")
list(GET _omen_numbers 0 _omen_major)
list(GET _omen_numbers 1 _omen_minor)
list(JOIN _omen_numbers "." PACKAGE_VERSION)

set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION_MAJOR EQUAL _omen_major AND NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  if(_omen_major GREATER 0 OR PACKAGE_FIND_VERSION_MINOR EQUAL _omen_minor)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
  endif()
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
