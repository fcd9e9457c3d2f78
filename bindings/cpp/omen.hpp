/** @file
 * omen.hpp: libomen in C++17, and nothing but a header over omen.h, which is the manual: what a function does, its
 * errors, its threads and what is on disk afterwards stand there, under the same name without `omen_store_`.
 *
 *  - A Store owns a handle: it moves, is not copied, and closes in its destructor. close() tells how that went.
 *  - Each function has two forms. The plain one throws omen::Error and returns what it read. The one named try_...
 *    returns an omen::Status instead, writes into the caller's arrays, and allocates only the text of a failure; it is
 *    all there is with -fno-exceptions, where the plain ones abort.
 *  - Arrays are Views, a pointer and a size, made from a std::vector, a std::array, an array, a std::span or a list in
 *    braces without a copy. Vectors lie one after the other: n x dim floats. A size that does not fit is
 *    OMEN_INVALID_ARGUMENT, and nothing is read or written.
 *  - A Store is as safe among threads as a handle of C, but moving, closing and destroying one is the owner's.
 */
#ifndef OMEN_HPP
#define OMEN_HPP

#include <omen.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace omen {

/** What became of a call. */
class [[nodiscard]] Status {
  public:
    /** All went well. */
    Status() = default;
    /** One of the statuses of omen.h, with the story of what happened. */
    Status(std::int32_t code, std::string message) : code_(code), message_(std::move(message)) {}
    /** The status of a call of C on this thread, with its last message if it failed. */
    static Status of(std::int32_t code) { return code == OMEN_OK ? Status() : Status(code, omen_last_message()); }

    /** Whether the call did what it says. */
    bool ok() const noexcept { return code_ == OMEN_OK; }
    /** OMEN_OK or another status of omen.h. */
    std::int32_t code() const noexcept { return code_; }
    /** The name of the status, as "OMEN_NOT_FOUND". */
    const char *name() const noexcept { return omen_status_name(code_); }
    /** What happened, with its numbers; "" if nothing did. */
    const std::string &message() const noexcept { return message_; }
    /** Throws an Error if the call failed. */
    void raise() const;

  private:
    std::int32_t code_ = OMEN_OK;
    std::string message_;
};

/** A call failed: what() is "OMEN_NOT_FOUND: " and the message. */
class Error : public std::runtime_error {
  public:
    /** Of a status that is not OMEN_OK. */
    explicit Error(const Status &status)
        : std::runtime_error(std::string(status.name()) + ": " + status.message()), code_(status.code()) {}
    /** The status of omen.h. */
    std::int32_t code() const noexcept { return code_; }
    /** The name of the status. */
    const char *name() const noexcept { return omen_status_name(code_); }

  private:
    std::int32_t code_;
};

inline void Status::raise() const {
    if (ok()) return;
#ifdef __cpp_exceptions
    throw Error(*this);
#else
    std::fprintf(stderr, "%s: %s\n", name(), message_.c_str());
    std::abort();
#endif
}

/** A pointer and a size: elements that belong to somebody else. */
template <class T> class View {
  public:
    /** Nothing. */
    constexpr View() noexcept = default;
    /** `size` elements from `data` on. */
    constexpr View(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    /** The elements of whatever has std::data and std::size: a vector, an array, a span. */
    template <class Array, class Element = std::remove_pointer_t<decltype(std::data(std::declval<Array &>()))>,
              class = std::enable_if_t<std::is_convertible_v<Element (*)[], T (*)[]>>>
    constexpr View(Array &&array) noexcept : data_(std::data(array)), size_(std::size(array)) {}
    /** The elements of a list in braces, which lives until the end of the statement. */
    template <class Element = T, class = std::enable_if_t<std::is_const_v<Element>>>
    constexpr View(std::initializer_list<std::remove_const_t<T>> list) noexcept : View(std::data(list), list.size()) {}

    /** The first element. */
    constexpr T *data() const noexcept { return data_; }
    /** How many there are. */
    constexpr std::size_t size() const noexcept { return size_; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/** Ids that are read. */
using Ids = View<const std::uint64_t>;
/** Vectors that are read, n x dim floats. */
using Vectors = View<const float>;

namespace detail {

/** What an init function of C fills in. A newer library may know more members than this header: it gets the room. */
template <class Options> Options defaults(void (*init)(Options *)) {
    union {
        Options options;
        unsigned char largest[1024];
    } room;
    init(&room.options);
    room.options.struct_size = sizeof(Options);
    return room.options;
}

} // namespace detail

/** omen_store_options, with its defaults. */
struct StoreOptions : omen_store_options {
    StoreOptions() : omen_store_options(detail::defaults(omen_store_options_init)) {}
};

/** omen_search_options, with its defaults. `allow` sets the ids that may be found; they must outlive the options. */
struct SearchOptions : omen_search_options {
    SearchOptions() : omen_search_options(detail::defaults(omen_search_options_init)) {}
    /** Only these may be found. */
    void allow(Ids ids) {
        allow_ids = ids.data();
        allow_n = ids.size();
    }
};

/** omen_compress_options, with its defaults. */
struct CompressOptions : omen_compress_options {
    CompressOptions() : omen_compress_options(detail::defaults(omen_compress_options_init)) {}
    /**
     * Called now and then with the steps done and their total, on the thread that compresses, in place of `progress`.
     * false stops the call (OMEN_CANCELLED). What it throws stops it too, and is thrown on to the caller.
     */
    std::function<bool(std::uint64_t done, std::uint64_t total)> on_progress;
};

/** The answer to queries: k places for each, nearest first, OMEN_NO_ID and NaN where there are fewer. */
struct Neighbours {
    /** uint64_t[nq][k] */
    std::vector<std::uint64_t> ids;
    /** float[nq][k] */
    std::vector<float> distances;
};

namespace detail {

inline Status invalid(const char *what, std::size_t found, const std::string &expected) {
    return {OMEN_INVALID_ARGUMENT, std::string(what) + ": found " + std::to_string(found) + ", expected " + expected};
}

/** Carries a std::function through the function pointer of C, and what it throws around the library. */
struct Progress {
    const std::function<bool(std::uint64_t, std::uint64_t)> &function;
    std::exception_ptr thrown;

    static std::int32_t call(void *user, std::uint64_t done, std::uint64_t total) {
        auto &self = *static_cast<Progress *>(user);
#ifdef __cpp_exceptions
        try {
            return self.function(done, total) ? 0 : 1;
        } catch (...) {
            self.thrown = std::current_exception();
            return 1;
        }
#else
        return self.function(done, total) ? 0 : 1;
#endif
    }
};

} // namespace detail

/**
 * Whether the library that the loader found can do what this header says: the same ABI version, the same major version
 * (of 0.x the same x), and not older. OMEN_UNSUPPORTED names both. Opening a store asks it first.
 */
inline Status try_library() {
    unsigned major = 0, minor = 0, patch = 0;
    std::sscanf(omen_version(), "%u.%u.%u", &major, &minor, &patch);
    const unsigned own_major = OMEN_VERSION_MAJOR, own_minor = OMEN_VERSION_MINOR, abi = omen_abi_version();
    const bool is_older = abi < OMEN_ABI_VERSION || major < own_major || (major == own_major && minor < own_minor);
    const bool is_newer = abi > OMEN_ABI_VERSION || major > own_major || (own_major == 0 && minor > own_minor);
    if (!is_older && !is_newer) return {};
    const std::string own = std::to_string(own_major) + "." + std::to_string(own_minor) + "." +
                            std::to_string(OMEN_VERSION_PATCH) + " (ABI " + std::to_string(OMEN_ABI_VERSION) + ")";
    return {OMEN_UNSUPPORTED, std::string("libomen ") + omen_version() + " (ABI " + std::to_string(abi) + ") is too " +
                                  (is_older ? "old" : "new") + " for this program, compiled with omen.h " + own};
}

/**
 * An open store. One that was closed answers OMEN_INVALID_HANDLE to everything, one that was never opened or was moved
 * from OMEN_NULL_POINTER.
 */
class Store {
  public:
    /** No store yet: for try_open. */
    Store() noexcept = default;
    /** Opens or creates the store in the directory `path`; `dim` 0 = what it has. */
    explicit Store(const std::string &path, std::uint32_t dim = 0, const omen_store_options &options = StoreOptions()) {
        try_open(path, dim, options).raise();
    }
    Store(const Store &) = delete;
    Store &operator=(const Store &) = delete;
    /** Takes over what `other` has. */
    Store(Store &&other) noexcept { swap(other); }
    /** Closes what this object had open, and takes over what `other` has. */
    Store &operator=(Store &&other) noexcept {
        Store(std::move(other)).swap(*this);
        return *this;
    }
    /** Commits and closes. Whether that failed nobody learns: close() first where it matters. */
    ~Store() {
        if (is_open_) omen_store_close(handle_);
    }
    /** Exchanges the two. */
    void swap(Store &other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(dim_, other.dim_);
        std::swap(is_open_, other.is_open_);
    }

    /** Opens; what this object had open is closed first. */
    Status try_open(const std::string &path, std::uint32_t dim = 0,
                    const omen_store_options &options = StoreOptions()) {
        *this = Store();
        if (Status status = try_library(); !status.ok()) return status;
        if (path.find('\0') != std::string::npos) return detail::invalid("path", path.find('\0'), "no NUL inside");
        const std::int32_t code = omen_store_open(path.c_str(), dim, &options, &handle_);
        is_open_ = code == OMEN_OK;
        if (is_open_) dim_ = omen_store_dim(handle_);
        return Status::of(code);
    }
    /** close() with a status. */
    Status try_close() {
        const std::int32_t code = omen_store_close(handle_);
        // From inside of a progress function it is refused, and the store stays open.
        if (code != OMEN_INVALID_ARGUMENT) is_open_ = false;
        return Status::of(code);
    }
    /** Commits and closes; the object may be thrown away or opened again. */
    void close() { try_close().raise(); }

    /** The handle, for the functions of omen.h; it stays this object's. */
    omen_store *handle() const noexcept { return handle_; }
    /** Floats in a vector. */
    std::uint32_t dim() const noexcept { return dim_; }

    /** count() with a status. */
    Status try_count(std::uint64_t &count) const { return Status::of(omen_store_count(handle_, &count)); }
    /** How many vectors can be read. */
    std::uint64_t count() const {
        std::uint64_t count = 0;
        try_count(count).raise();
        return count;
    }

    // Writing

    /** Inserts vectors under the next ids; `first_id` receives the first of them. */
    Status try_insert(Vectors vectors, std::uint64_t *first_id = nullptr) {
        const std::size_t n = dim_ == 0 ? 0 : vectors.size() / dim_;
        if (Status status = fits("vectors", vectors.size(), n); !status.ok()) return status;
        return Status::of(omen_store_insert(handle_, nullptr, vectors.data(), n, first_id));
    }
    /** insert() with a status. */
    Status try_insert(Ids ids, Vectors vectors) {
        if (Status status = fits("vectors", vectors.size(), ids.size()); !status.ok()) return status;
        return Status::of(omen_store_insert(handle_, ids.data(), vectors.data(), ids.size(), nullptr));
    }
    /** upsert() with a status. */
    Status try_upsert(Ids ids, Vectors vectors) {
        if (Status status = fits("vectors", vectors.size(), ids.size()); !status.ok()) return status;
        return Status::of(omen_store_upsert(handle_, ids.data(), vectors.data(), ids.size()));
    }
    /** erase() with a status; `deleted` receives how many of the ids were there. */
    Status try_erase(Ids ids, std::uint64_t &deleted) {
        return Status::of(omen_store_delete(handle_, ids.data(), ids.size(), &deleted));
    }
    /** commit() with a status. */
    Status try_commit() { return Status::of(omen_store_commit(handle_)); }

    /** Inserts vectors under the next ids, and returns the first of them. */
    std::uint64_t insert(Vectors vectors) {
        std::uint64_t first_id = 0;
        try_insert(vectors, &first_id).raise();
        return first_id;
    }
    /** Inserts vectors under ids that are not in the store. */
    void insert(Ids ids, Vectors vectors) { try_insert(ids, vectors).raise(); }
    /** Inserts vectors, or replaces those whose id is there. */
    void upsert(Ids ids, Vectors vectors) { try_upsert(ids, vectors).raise(); }
    /** omen_store_delete: returns how many of the ids were there. */
    std::uint64_t erase(Ids ids) {
        std::uint64_t deleted = 0;
        try_erase(ids, deleted).raise();
        return deleted;
    }
    /** All writes so far survive a crash from here on. */
    void commit() { try_commit().raise(); }

    // Reading

    /** Reads vectors. Without `found` every id must be there; with it found[i] tells, and missing vectors are zeros. */
    Status try_get(Ids ids, View<float> vectors, View<std::uint8_t> found = {}) const {
        if (Status status = fits("vectors", vectors.size(), ids.size()); !status.ok()) return status;
        if (found.data() != nullptr && found.size() != ids.size())
            return detail::invalid("found", found.size(), std::to_string(ids.size()));
        return Status::of(omen_store_get(handle_, ids.data(), ids.size(), vectors.data(), found.data()));
    }
    /** found[i] is 1 if ids[i] is in the store, else 0. */
    Status try_contains(Ids ids, View<std::uint8_t> found) const {
        if (found.size() != ids.size()) return detail::invalid("found", found.size(), std::to_string(ids.size()));
        return Status::of(omen_store_contains(handle_, ids.data(), ids.size(), found.data()));
    }
    /** Reads up to ids.size() vectors from `position` on, which 0 begins; `n` 0 = done. Without `vectors` only ids. */
    Status try_scan(std::uint64_t &position, View<std::uint64_t> ids, View<float> vectors, std::size_t &n) const {
        if (vectors.data() != nullptr) {
            if (Status status = fits("vectors", vectors.size(), ids.size()); !status.ok()) return status;
        }
        return Status::of(omen_store_scan(handle_, &position, ids.size(), ids.data(), vectors.data(), &n));
    }

    /** The vectors of the ids, each of which must be there. */
    std::vector<float> get(Ids ids) const {
        std::vector<float> vectors(ids.size() * dim_);
        try_get(ids, vectors).raise();
        return vectors;
    }
    /** 1 for each id that is in the store, 0 for the others. */
    std::vector<std::uint8_t> contains(Ids ids) const {
        std::vector<std::uint8_t> found(ids.size());
        try_contains(ids, found).raise();
        return found;
    }
    /** try_scan that throws, and returns `n`. */
    std::size_t scan(std::uint64_t &position, View<std::uint64_t> ids, View<float> vectors = {}) const {
        std::size_t n = 0;
        try_scan(position, ids, vectors, n).raise();
        return n;
    }

    // Searching

    /** search() with a status; the arrays hold k places for each query. */
    Status try_search(Vectors queries, std::size_t k, View<std::uint64_t> ids, View<float> distances,
                      const omen_search_options &options = SearchOptions()) const {
        const std::size_t nq = dim_ == 0 ? 0 : queries.size() / dim_;
        if (Status status = fits("queries", queries.size(), nq); !status.ok()) return status;
        if (Status status = has_places("ids", ids.size(), nq, k); !status.ok()) return status;
        if (Status status = has_places("distances", distances.size(), nq, k); !status.ok()) return status;
        return Status::of(omen_store_search(handle_, queries.data(), nq, k, &options, ids.data(), distances.data()));
    }
    /** The k nearest of each query. */
    Neighbours search(Vectors queries, std::size_t k, const omen_search_options &options = SearchOptions()) const {
        const std::size_t nq = dim_ == 0 ? 0 : queries.size() / dim_;
        if (nq != 0 && k > std::numeric_limits<std::size_t>::max() / sizeof(std::uint64_t) / nq)
            Status(OMEN_TOO_BIG, "k: found " + std::to_string(k) + " for " + std::to_string(nq) + " queries").raise();
        Neighbours found{std::vector<std::uint64_t>(nq * k), std::vector<float>(nq * k)};
        try_search(queries, k, found.ids, found.distances, options).raise();
        return found;
    }

    // Compressing and upkeep

    /** compress() with a status; `report` is written only on success. */
    Status try_compress(const CompressOptions &options, omen_compress_report &report) {
        omen_compress_options plain = options;
        detail::Progress progress{options.on_progress, nullptr};
        if (options.on_progress) {
            plain.progress = detail::Progress::call;
            plain.user = &progress;
        }
        report.struct_size = sizeof report;
        Status status = Status::of(omen_store_compress(handle_, &plain, &report));
        if (progress.thrown) std::rethrow_exception(progress.thrown);
        return status;
    }
    /** stats() with a status. */
    Status try_stats(struct omen_store_stats &stats) const {
        stats.struct_size = sizeof stats;
        return Status::of(::omen_store_stats(handle_, &stats));
    }
    /** verify() with a status. */
    Status try_verify(omen_verify_report &report) const {
        report.struct_size = sizeof report;
        return Status::of(omen_store_verify(handle_, &report));
    }
    /** compact() with a status. */
    Status try_compact() { return Status::of(omen_store_compact(handle_)); }

    /** Replaces every vector by its code, and tells what that gave and cost. */
    omen_compress_report compress(const CompressOptions &options = CompressOptions()) {
        omen_compress_report report{};
        try_compress(options, report).raise();
        return report;
    }
    /** What the store holds and takes on disk. */
    struct omen_store_stats stats() const {
        struct omen_store_stats stats{};
        try_stats(stats).raise();
        return stats;
    }
    /** Reads every byte and compares all checksums. */
    omen_verify_report verify() const {
        omen_verify_report report{};
        try_verify(report).raise();
        return report;
    }
    /** Gives back the bytes of what was deleted and replaced. */
    void compact() { try_compact().raise(); }

  private:
    /** Whether `found` floats are `n` vectors. A store that is not open has no dim: then C answers. */
    Status fits(const char *what, std::size_t found, std::size_t n) const {
        if (!is_open_ || found == n * dim_) return {};
        return detail::invalid(what, found, std::to_string(n) + " x " + std::to_string(dim_) + " floats");
    }
    static Status has_places(const char *what, std::size_t found, std::size_t nq, std::size_t k) {
        if (nq == 0 ? found == 0 : found % nq == 0 && found / nq == k) return {};
        return detail::invalid(what, found, std::to_string(nq) + " x " + std::to_string(k));
    }

    omen_store *handle_ = nullptr;
    std::uint32_t dim_ = 0;
    bool is_open_ = false;
};

} // namespace omen

#endif /* OMEN_HPP */
