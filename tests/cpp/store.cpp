// The life of a store through omen.hpp, with every kind of array.
#include "check.hpp"

#include <array>
#include <cmath>
#include <type_traits>
#if __cplusplus >= 202002L
#include <span>
#endif

using omen::Store;

static_assert(!std::is_copy_constructible_v<Store> && !std::is_copy_assignable_v<Store>);
static_assert(std::is_nothrow_move_constructible_v<Store> && std::is_nothrow_move_assignable_v<Store>);
static_assert(std::is_constructible_v<omen::Vectors, std::vector<float>>);
static_assert(!std::is_constructible_v<omen::Vectors, std::vector<double>>);
static_assert(!std::is_constructible_v<omen::View<float>, const std::vector<float>>);
static_assert(!std::is_constructible_v<omen::View<float>, std::initializer_list<float>>);

static const std::uint32_t DIM = 4;

static std::vector<float> some(std::size_t n) {
    std::vector<float> vectors(n * DIM);
    for (std::size_t i = 0; i < vectors.size(); i++) vectors[i] = static_cast<float>((i + 1) * (i + 7) % 1009);
    return vectors;
}

static void arrays_of_every_kind(const std::string &path) {
    Store store(path, DIM);
    CHECK(store.dim() == DIM && store.count() == 0);
    CHECK(store.insert({1, 2, 3, 4, 5, 6, 7, 8}) == 0);
    store.insert({10}, std::array<float, DIM>{9, 9, 9, 9});
    const float plain[] = {1, 0, 0, 1};
    store.insert(std::vector<std::uint64_t>{20}, plain);
    store.upsert({10, 11}, omen::Vectors(some(2).data(), 2 * DIM));
#if __cplusplus >= 202002L
    std::vector<float> vector = some(1);
    store.upsert({20}, std::span(vector));
#endif
    CHECK(store.insert(std::vector<float>()) == 21);
    store.insert(omen::Ids(), omen::Vectors());
    CHECK(store.count() == 5);

    CHECK((store.get({1, 0}) == std::vector<float>{5, 6, 7, 8, 1, 2, 3, 4}));
    CHECK((store.contains({0, 5, 20}) == std::vector<std::uint8_t>{1, 0, 1}));
    std::array<float, 2 * DIM> vectors;
    std::array<std::uint8_t, 2> found;
    store.try_get({5, 1}, vectors, found).raise();
    CHECK(found[0] == 0 && found[1] == 1 && vectors[0] == 0 && vectors[DIM] == 5);
    CHECK(store.erase({1, 2}) == 1);
    store.commit();
    CHECK(store.stats().deleted > 0);
    store.compact();
    CHECK(store.stats().deleted == 0 && store.verify().vectors == 4);
}

static void scan_and_search(const std::string &path) {
    const std::size_t n = 5000, k = 3;
    const std::vector<float> vectors = some(n);
    {
        Store store(path, DIM);
        store.insert(vectors);
    }
    omen::StoreOptions options;
    options.mode = OMEN_READ_ONLY;
    Store store(path, 0, options);
    CHECK(store.dim() == DIM && store.count() == n);

    std::vector<std::uint64_t> ids(700);
    std::vector<float> chunk(ids.size() * DIM), all;
    std::uint64_t position = 0;
    while (std::size_t read = store.scan(position, ids, chunk)) all.insert(all.end(), &chunk[0], &chunk[0] + read * DIM);
    CHECK(all == vectors);
    position = 0;
    CHECK(store.scan(position, ids) == ids.size() && ids[699] == 699);

    const omen::Vectors queries(vectors.data(), 2 * DIM);
    omen::Neighbours near = store.search(queries, k);
    CHECK(near.ids[0] == 0 && near.distances[0] == 0 && near.ids[k] == 1);
    const std::vector<std::uint64_t> allowed = {7, 8};
    omen::SearchOptions only;
    only.allow(allowed);
    near = store.search(queries, k, only);
    CHECK(near.ids[0] + near.ids[1] == 15 && near.ids[2] == OMEN_NO_ID && std::isnan(near.distances[2]));
    const std::vector<std::uint64_t> denied = {7};
    only.deny(denied);
    only.max_distance = 1e30;
    near = store.search(queries, k, only);
    CHECK(near.ids[0] == 8 && near.ids[1] == OMEN_NO_ID);
    CHECK(store.search({}, k).ids.empty() && store.search(queries, 0).ids.empty());
    CHECK(thrown_by([&] { store.commit(); }) == OMEN_IS_READ_ONLY);
}

/** Runs `call` with options whose progress function stops, throws, then lets it finish. */
template <class Call> static void work_tells_stops_and_throws(const Store &store, Call call) {
    const std::uint64_t vectors = store.count();
    omen::WorkOptions options;
    options.on_progress = [](std::uint64_t, std::uint64_t) { return false; };
    CHECK(thrown_by([&] { call(options); }) == OMEN_CANCELLED);
    options.on_progress = [](std::uint64_t done, std::uint64_t) -> bool { throw done; };
    bool was_thrown = false;
    try {
        call(options);
    } catch (std::uint64_t) {
        was_thrown = true;
    }
    CHECK(was_thrown && store.count() == vectors && store.stats().deleted > 0);
    std::uint64_t last = 0, total = 0;
    options.on_progress = [&](std::uint64_t done, std::uint64_t of) {
        CHECK(last <= done && done <= of);
        last = done, total = of;
        return store.count() == vectors;
    };
    call(options);
    CHECK(total > 0 && last <= total);
}

static void verify_and_compact(const std::string &path) {
    Store store(path, DIM);
    store.insert(some(20000));
    store.erase({0, 1, 2});
    work_tells_stops_and_throws(store, [&](const omen::WorkOptions &options) { store.verify(options); });
    work_tells_stops_and_throws(store, [&](const omen::WorkOptions &options) { store.compact(options); });
    CHECK(store.stats().deleted == 0 && store.count() == 19997);
}

static void compress_tells_stops_and_throws(const std::string &path) {
    Store store(path, DIM);
    store.insert(some(20000));
    store.commit();
    omen::CompressOptions options;
    options.ratio = 2;
    options.on_progress = [](std::uint64_t, std::uint64_t) { return false; };
    CHECK(thrown_by([&] { store.compress(options); }) == OMEN_CANCELLED);
    options.on_progress = [](std::uint64_t done, std::uint64_t) -> bool { throw done; };
    bool was_thrown = false;
    try {
        store.compress(options);
    } catch (std::uint64_t) {
        was_thrown = true;
    }
    CHECK(was_thrown && store.stats().compressed_vectors == 0);

    std::uint64_t calls = 0, last = 0;
    options.on_progress = [&](std::uint64_t done, std::uint64_t total) {
        calls++;
        CHECK(last <= done && done <= total);
        last = done;
        return store.count() == 20000;
    };
    const omen_compress_report report = store.compress(options);
    CHECK(calls > 0 && report.vectors == 20000 && report.ratio >= 2 && report.relative_mse < 0.001);
    CHECK(store.stats().compressed_vectors == 20000);
    store.close();
}

/** Refused there, close is no end: the destructor has the store to close. */
static void close_from_progress_leaves_it_open(const std::string &path) {
    std::int32_t closed = OMEN_OK;
    {
        Store store(path, DIM);
        store.insert(some(20000));
        omen::CompressOptions options;
        options.ratio = 2;
        options.on_progress = [&](std::uint64_t, std::uint64_t) {
            closed = store.try_close().code();
            return false;
        };
        CHECK(thrown_by([&] { store.compress(options); }) == OMEN_CANCELLED && store.count() == 20000);
    }
    CHECK(closed == OMEN_INVALID_ARGUMENT && Store(path).count() == 20000);
}

static void handles_move(const std::string &path) {
    Store first(path, DIM);
    Store second(std::move(first));
    CHECK(second.insert(some(1)) == 0);
    CHECK(thrown_by([&] { first.commit(); }) == OMEN_NULL_POINTER);
    CHECK(thrown_by([&] { Store(path, DIM); }) == OMEN_LOCKED);
    first = std::move(second);
    CHECK(first.count() == 1 && first.handle() != nullptr && second.handle() == nullptr);
    Store &self = first;
    first = std::move(self);
    CHECK(first.count() == 1);
    CHECK(first.try_open(path, DIM).ok()); // closes what was open: else it would be locked
    CHECK(first.count() == 1);
}

int main(int, char **argv) {
    const std::string room = argv[1];
    arrays_of_every_kind(room + "/arrays");
    scan_and_search(room + "/search");
    compress_tells_stops_and_throws(room + "/compress");
    close_from_progress_leaves_it_open(room + "/progress");
    verify_and_compact(room + "/work");
    handles_move(room + "/moves");
}
