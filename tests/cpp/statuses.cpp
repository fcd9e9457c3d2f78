// omen.hpp without exceptions: statuses, and arrays of the caller.
#include "check.hpp"

#ifdef __cpp_exceptions
#error "to be compiled with -fno-exceptions"
#endif

int main(int, char **argv) {
    omen::Store store;
    const std::string path = std::string(argv[1]) + "/store";
    CHECK(omen::try_library().ok());
    CHECK(store.try_open(path, 2).ok());
    std::uint64_t first = 9, count = 0, deleted = 0, position = 0;
    CHECK(store.try_insert({1, 2, 3, 4}, &first).ok() && first == 0);
    CHECK(store.try_insert({7}, {5, 6}).ok() && store.try_upsert({7}, {5, 5}).ok());
    CHECK(store.try_count(count).ok() && count == 3);

    float vectors[4], distances[1];
    std::uint64_t ids[2];
    std::uint8_t found[2];
    std::size_t n = 0;
    CHECK(store.try_get({0, 7}, vectors).ok() && vectors[3] == 5);
    const omen::Status status = store.try_get({0, 99}, vectors);
    CHECK(!status.ok() && status.code() == OMEN_NOT_FOUND && std::string(status.name()) == "OMEN_NOT_FOUND");
    CHECK(status.message().find("99") != std::string::npos);
    CHECK(store.try_contains({0, 99}, found).ok() && found[0] == 1 && found[1] == 0);
    CHECK(store.try_scan(position, ids, {}, n).ok() && n == 2 && ids[1] == 1);
    CHECK(store.try_search({3, 4}, 1, {ids, 1}, distances).ok() && ids[0] == 1 && distances[0] == 0);
    CHECK(store.try_erase({1}, deleted).ok() && deleted == 1 && store.try_commit().ok() && store.try_compact().ok());

    struct omen_store_stats stats;
    omen_verify_report verified;
    omen_compress_report compressed;
    omen::CompressOptions options;
    std::uint64_t calls = 0;
    options.on_progress = [&](std::uint64_t, std::uint64_t) { return ++calls == 0; };
    CHECK(store.try_stats(stats).ok() && stats.vectors == 2);
    omen::WorkOptions work;
    work.threads = 1;
    work.on_progress = [](std::uint64_t, std::uint64_t) { return false; };
    CHECK(store.try_verify(verified, work).code() == OMEN_CANCELLED);
    CHECK(store.try_compact(work).ok()); // nothing is left to do after the first
    CHECK(store.try_verify(verified).ok() && verified.vectors == 2);
    CHECK(!store.try_compress(options, compressed).ok());
    CHECK(store.try_close().ok() && store.try_count(count).code() == OMEN_INVALID_HANDLE);
}
