// Opens a store and prints why that did not work: for libraries that are not the header's.
#include "check.hpp"

int main(int, char **argv) {
    omen::Store store;
    const omen::Status status = store.try_open(std::string(argv[1]) + "/store", 2);
    std::printf("%s: %s\n", status.name(), status.message().c_str());
}
