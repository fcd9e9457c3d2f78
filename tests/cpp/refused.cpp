// Opens a store and prints why that failed. For libraries that do not fit the header.
#include "check.hpp"

int main(int, char **argv) {
    omen::Store store;
    const omen::Status status = store.try_open(std::string(argv[1]) + "/store", 2);
    std::printf("%s: %s\n", status.name(), status.message().c_str());
}
