// Shared by the C++ tests: a check that prints its line, and the code of a thrown error.
#include <omen.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                       \
            std::exit(EXIT_FAILURE);                                                                                   \
        }                                                                                                              \
    } while (0)

#ifdef __cpp_exceptions
template <class Call> std::int32_t thrown_by(Call call) {
    try {
        call();
    } catch (const omen::Error &error) {
        CHECK(std::string(error.what()) == std::string(error.name()) + ": " + (std::strchr(error.what(), ' ') + 1));
        return error.code();
    }
    return OMEN_OK;
}
#endif
