// Bad input through omen.hpp: each case has its status, thrown or returned, and changes nothing.
#include "check.hpp"

#include <cmath>

using omen::Store;

static const std::uint32_t DIM = 4;

static void sizes_that_do_not_fit(Store &store) {
    std::vector<float> vectors(2 * DIM), distances(2);
    std::vector<std::uint64_t> ids(2);
    std::vector<std::uint8_t> found(1);
    std::uint64_t position = 0;
    std::size_t n = 0;
    CHECK(store.try_insert({1, 2, 3}).message() == "vectors: found 3 floats, expected a multiple of 4 (dim)");
    CHECK(thrown_by([&] { store.insert({1, 2, 3}); }) == OMEN_INVALID_ARGUMENT);
    CHECK(thrown_by([&] { store.insert({8, 9}, {1, 2, 3, 4}); }) == OMEN_INVALID_ARGUMENT);
    CHECK(thrown_by([&] { store.upsert({8}, vectors); }) == OMEN_INVALID_ARGUMENT);
    CHECK(store.try_get({1}, vectors).message() == "vectors: found 8, expected 1 x 4 floats");
    CHECK(store.try_get({0, 1}, vectors, found).message() == "found: found 1, expected 2");
    CHECK(store.try_contains({0, 1}, found).code() == OMEN_INVALID_ARGUMENT);
    CHECK(store.try_scan(position, ids, {vectors.data(), 1}, n).code() == OMEN_INVALID_ARGUMENT);
    CHECK(thrown_by([&] { store.search({1, 2, 3}, 1); }) == OMEN_INVALID_ARGUMENT);
    CHECK(store.try_search({1, 2, 3}, 1, ids, distances).message() ==
          "queries: found 3 floats, expected a multiple of 4 (dim)");
    CHECK(store.try_search(vectors, 2, ids, distances).message() == "ids: found 2, expected 2 x 2");
    CHECK(store.try_search(vectors, 1, ids, {distances.data(), 1}).message() == "distances: found 1, expected 2 x 1");
    CHECK(thrown_by([&] { store.search(vectors, SIZE_MAX / 8); }) == OMEN_TOO_BIG);
    CHECK(store.try_search(vectors, SIZE_MAX / 2 + 2, ids, distances).code() == OMEN_INVALID_ARGUMENT);
}

static void values_the_library_refuses(Store &store, const std::string &path) {
    CHECK(thrown_by([&] { store.insert({1, 2, NAN, 4}); }) == OMEN_NOT_FINITE);
    CHECK(thrown_by([&] { store.insert({0}, {1, 2, 3, 4}); }) == OMEN_DUPLICATE_ID);
    CHECK(thrown_by([&] { store.get({77}); }) == OMEN_NOT_FOUND);
    CHECK(thrown_by([&] { store.search({1, 2, INFINITY, 4}, 1); }) == OMEN_NOT_FINITE);
    omen::CompressOptions options;
    options.ratio = 0.5;
    CHECK(thrown_by([&] { store.compress(options); }) == OMEN_INVALID_ARGUMENT);
    CHECK(thrown_by([&] { Store other(std::string("a\0b", 3), DIM); }) == OMEN_INVALID_ARGUMENT);
    omen::StoreOptions reading;
    reading.mode = OMEN_READ_ONLY;
    CHECK(thrown_by([&] { Store other(path, DIM + 1, reading); }) == OMEN_DIM_MISMATCH);
    CHECK(thrown_by([&] { Store other(path + "/none", DIM, reading); }) == OMEN_NOT_A_STORE);
    reading.metric = OMEN_COSINE;
    Store other;
    CHECK(other.try_open(path, DIM, reading).message() == "metric: the store has l2, the call asks for cosine");
    reading.metric = 7;
    CHECK(other.try_open(path, DIM, reading).message() ==
          "options: metric is 7; expected OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE");
}

/** Every function on a store that is closed, or never was open, says `code`. */
static void every_function_says(Store &store, std::int32_t code) {
    const std::vector<float> vector(DIM);
    std::vector<std::uint64_t> ids(1);
    std::uint64_t position = 0;
    CHECK(thrown_by([&] { store.count(); }) == code);
    CHECK(thrown_by([&] { store.insert(vector); }) == code);
    CHECK(thrown_by([&] { store.insert({1}, vector); }) == code);
    CHECK(thrown_by([&] { store.upsert({1}, vector); }) == code);
    CHECK(thrown_by([&] { store.erase({1}); }) == code);
    CHECK(thrown_by([&] { store.commit(); }) == code);
    CHECK(thrown_by([&] { store.get({1}); }) == code);
    CHECK(thrown_by([&] { store.contains({1}); }) == code);
    CHECK(thrown_by([&] { store.scan(position, ids); }) == code);
    CHECK(thrown_by([&] { store.search(vector, 1); }) == code);
    CHECK(thrown_by([&] { store.compress(); }) == code);
    CHECK(thrown_by([&] { store.stats(); }) == code);
    CHECK(thrown_by([&] { store.verify(); }) == code);
    CHECK(thrown_by([&] { store.compact(); }) == code);
}

int main(int, char **argv) {
    const std::string path = std::string(argv[1]) + "/store";
    Store store(path, DIM);
    store.insert({1, 2, 3, 4, 5, 6, 7, 8});
    sizes_that_do_not_fit(store);
    values_the_library_refuses(store, path);
    CHECK(store.count() == 2);

    store.close();
    every_function_says(store, OMEN_INVALID_HANDLE);
    CHECK(store.try_commit().message() == "the store is closed");
    CHECK(thrown_by([&] { store.close(); }) == OMEN_INVALID_HANDLE);
    Store never;
    every_function_says(never, OMEN_NULL_POINTER);
    CHECK(never.try_close().ok()); // as in C
    CHECK(Store(path).count() == 2);
}
