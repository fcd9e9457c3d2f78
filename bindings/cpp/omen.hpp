/** @file
 * libomen for C++17. This header wraps omen.h, which describes every function: its errors, its threads, and what is on
 * disk afterwards. The method of omen_store_get is omen::Store::get, and so on.
 *
 *  - A Store owns a handle. It can be moved but not copied, and its destructor closes it. close() reports failures.
 *  - Each method has two forms. The plain one throws omen::Error and returns its result. The one named try_... returns
 *    an omen::Status and writes into the caller's arrays; it allocates only the message of a failure. With
 *    -fno-exceptions use the second, because the plain ones abort on a failure.
 *  - Arrays are Views, a pointer and a size. A std::vector, std::array, array, std::span or list in braces converts to
 *    a View without a copy. Vectors are n x dim floats, one vector after another. A wrong size is
 *    OMEN_INVALID_ARGUMENT, and nothing is read or written.
 *  - Any thread may call the methods of a Store, as with a handle of C. Only one thread may move, close or destroy it.
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

/** Result of a call. */
class [[nodiscard]] Status {
  public:
    /** OMEN_OK. */
    Status() = default;
    /** A status of omen.h with a message. */
    Status(std::int32_t code, std::string message) : code_(code), message_(std::move(message)) {}
    /** The status that a function of C returned on this thread, with the last message if it failed. */
    static Status of(std::int32_t code) { return code == OMEN_OK ? Status() : Status(code, omen_last_message()); }

    /** Whether the call succeeded. */
    bool ok() const noexcept { return code_ == OMEN_OK; }
    /** The status of omen.h. */
    std::int32_t code() const noexcept { return code_; }
    /** The name of the status, such as "OMEN_NOT_FOUND". */
    const char *name() const noexcept { return omen_status_name(code_); }
    /** What failed, with details; "" if the call succeeded. */
    const std::string &message() const noexcept { return message_; }
    /** Throws an Error if the call failed. */
    void raise() const;

  private:
    std::int32_t code_ = OMEN_OK;
    std::string message_;
};

/** A failed call. what() is the name of the status, ": ", and the message. */
class Error : public std::runtime_error {
  public:
    /** Makes an error of a status that is not OMEN_OK. */
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

/** A pointer and a size. The elements belong to the caller. */
template <class T> class View {
  public:
    /** An empty view. */
    constexpr View() noexcept = default;
    /** The `size` elements at `data`. */
    constexpr View(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    /** The elements of anything with std::data and std::size, such as a vector, an array or a span. */
    template <class Array, class Element = std::remove_pointer_t<decltype(std::data(std::declval<Array &>()))>,
              class = std::enable_if_t<std::is_convertible_v<Element (*)[], T (*)[]>>>
    constexpr View(Array &&array) noexcept : data_(std::data(array)), size_(std::size(array)) {}
    /** The elements of a list in braces, which is valid until the end of the statement. */
    template <class Element = T, class = std::enable_if_t<std::is_const_v<Element>>>
    constexpr View(std::initializer_list<std::remove_const_t<T>> list) noexcept : View(std::data(list), list.size()) {}

    /** The first element. */
    constexpr T *data() const noexcept { return data_; }
    /** The number of elements. */
    constexpr std::size_t size() const noexcept { return size_; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/** Ids for reading. */
using Ids = View<const std::uint64_t>;
/** Vectors for reading: n x dim floats. */
using Vectors = View<const float>;

namespace detail {

/** The defaults from an init function of C. A newer library may write more members than this header has. */
template <class Options> Options defaults(void (*init)(Options *)) {
    union {
        Options options;
        unsigned char largest[1024];
    } buffer;
    init(&buffer.options);
    buffer.options.struct_size = sizeof(Options);
    return buffer.options;
}

} // namespace detail

/** omen_store_options, with its defaults. */
struct StoreOptions : omen_store_options {
    StoreOptions() : omen_store_options(detail::defaults(omen_store_options_init)) {}
};

/** omen_search_options, with its defaults. */
struct SearchOptions : omen_search_options {
    SearchOptions() : omen_search_options(detail::defaults(omen_search_options_init)) {}
    /** Only these ids may be found. They must outlive the options. */
    void allow(Ids ids) {
        allow_ids = ids.data();
        allow_n = ids.size();
    }
    /** These ids are not found. They must outlive the options. */
    void deny(Ids ids) {
        deny_ids = ids.data();
        deny_n = ids.size();
    }
};

/**
 * Receives the steps done and their total, on the thread that made the call. Returning false stops the call
 * (OMEN_CANCELLED). An exception stops it too, and is rethrown to the caller.
 */
using OnProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

/** omen_compress_options, with its defaults. */
struct CompressOptions : omen_compress_options {
    CompressOptions() : omen_compress_options(detail::defaults(omen_compress_options_init)) {}
    /** Used instead of `progress` if it is set. */
    OnProgress on_progress;
};

/** omen_work_options, with its defaults: for verify and compact. */
struct WorkOptions : omen_work_options {
    WorkOptions() : omen_work_options(detail::defaults(omen_work_options_init)) {}
    /** Used instead of `progress` if it is set. */
    OnProgress on_progress;
};

/**
 * Result of a search: k neighbours of each query, nearest first. OMEN_NO_ID and NaN fill the remaining places when fewer
 * than k are found.
 */
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

/** Calls an OnProgress from the function pointer of C. Exceptions are caught: they must not unwind through the library. */
struct Progress {
    const OnProgress &function;
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

/** Calls `call` with a copy of the options of C in which `on_progress`, if it is set, is the progress function. */
template <class Options, class Call> Status with_progress(Options options, const OnProgress &on_progress, Call call) {
    Progress progress{on_progress, nullptr};
    if (on_progress) {
        options.progress = Progress::call;
        options.user = &progress;
    }
    Status status = Status::of(call(&options));
    if (progress.thrown) std::rethrow_exception(progress.thrown);
    return status;
}

} // namespace detail

/**
 * Checks that the loaded library fits this header: the same ABI version, the same major version (for 0.x the same x),
 * and not older. The message of OMEN_UNSUPPORTED names both versions. Opening a store checks this first.
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
 * An open store. After close every method fails with OMEN_INVALID_HANDLE; before open and after a move with
 * OMEN_NULL_POINTER.
 */
class Store {
  public:
    /** A store that is not open; for try_open. */
    Store() noexcept = default;
    /** Opens or creates the store in the directory `path`. A `dim` of 0 accepts that of the store. */
    explicit Store(const std::string &path, std::uint32_t dim = 0, const omen_store_options &options = StoreOptions()) {
        try_open(path, dim, options).raise();
    }
    Store(const Store &) = delete;
    Store &operator=(const Store &) = delete;
    /** Takes the handle of `other`. */
    Store(Store &&other) noexcept { swap(other); }
    /** Closes this store, and takes the handle of `other`. */
    Store &operator=(Store &&other) noexcept {
        Store(std::move(other)).swap(*this);
        return *this;
    }
    /** Commits and closes. It cannot report a failure; call close() first if you want to know. */
    ~Store() {
        if (is_open_) omen_store_close(handle_);
    }
    /** Exchanges the handles. */
    void swap(Store &other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(dim_, other.dim_);
        std::swap(is_open_, other.is_open_);
    }

    /** Opens a store. If this object has one open, that is closed first. */
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
        // A close in a progress function is refused, and the store stays open.
        if (code != OMEN_INVALID_ARGUMENT) is_open_ = false;
        return Status::of(code);
    }
    /** Commits and closes. The object can be opened again. */
    void close() { try_close().raise(); }

    /** The handle, for the functions of omen.h. This object still owns it. */
    omen_store *handle() const noexcept { return handle_; }
    /** Floats in a vector. */
    std::uint32_t dim() const noexcept { return dim_; }

    /** count() with a status. */
    Status try_count(std::uint64_t &count) const { return Status::of(omen_store_count(handle_, &count)); }
    /** Number of vectors in the store. */
    std::uint64_t count() const {
        std::uint64_t count = 0;
        try_count(count).raise();
        return count;
    }

    // Writing

    /** Inserts vectors under the next ids. `first_id` receives the first of them. */
    Status try_insert(Vectors vectors, std::uint64_t *first_id = nullptr) {
        if (Status status = is_whole("vectors", vectors.size()); !status.ok()) return status;
        return Status::of(omen_store_insert(handle_, nullptr, vectors.data(), rows(vectors), first_id));
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
    /** erase() with a status. `deleted` receives the number of deleted vectors. */
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
    /** Inserts vectors, and replaces those whose id is in the store. */
    void upsert(Ids ids, Vectors vectors) { try_upsert(ids, vectors).raise(); }
    /** omen_store_delete: deletes vectors and returns how many. */
    std::uint64_t erase(Ids ids) {
        std::uint64_t deleted = 0;
        try_erase(ids, deleted).raise();
        return deleted;
    }
    /** Makes all writes so far durable. */
    void commit() { try_commit().raise(); }

    // Reading

    /** Reads vectors. If an id is missing, its vector is zeros and found[i] is 0; without `found` that is an error. */
    Status try_get(Ids ids, View<float> vectors, View<std::uint8_t> found = {}) const {
        if (Status status = fits("vectors", vectors.size(), ids.size()); !status.ok()) return status;
        if (found.data() != nullptr && found.size() != ids.size())
            return detail::invalid("found", found.size(), std::to_string(ids.size()));
        return Status::of(omen_store_get(handle_, ids.data(), ids.size(), vectors.data(), found.data()));
    }
    /** Sets found[i] to 1 if ids[i] is in the store, else to 0. */
    Status try_contains(Ids ids, View<std::uint8_t> found) const {
        if (found.size() != ids.size()) return detail::invalid("found", found.size(), std::to_string(ids.size()));
        return Status::of(omen_store_contains(handle_, ids.data(), ids.size(), found.data()));
    }
    /** Reads up to ids.size() vectors from the id `position` on. `n` is 0 at the end. Without `vectors`: ids only. */
    Status try_scan(std::uint64_t &position, View<std::uint64_t> ids, View<float> vectors, std::size_t &n) const {
        if (vectors.data() != nullptr) {
            if (Status status = fits("vectors", vectors.size(), ids.size()); !status.ok()) return status;
        }
        return Status::of(omen_store_scan(handle_, &position, ids.size(), ids.data(), vectors.data(), &n));
    }

    /** The vectors of the ids, which must be in the store. */
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
    /** try_scan() that throws and returns `n`. */
    std::size_t scan(std::uint64_t &position, View<std::uint64_t> ids, View<float> vectors = {}) const {
        std::size_t n = 0;
        try_scan(position, ids, vectors, n).raise();
        return n;
    }

    // Searching

    /** search() with a status. The arrays have k elements for each query. */
    Status try_search(Vectors queries, std::size_t k, View<std::uint64_t> ids, View<float> distances,
                      const omen_search_options &options = SearchOptions()) const {
        if (Status status = is_whole("queries", queries.size()); !status.ok()) return status;
        const std::size_t nq = rows(queries);
        if (Status status = has_room("ids", ids.size(), nq, k); !status.ok()) return status;
        if (Status status = has_room("distances", distances.size(), nq, k); !status.ok()) return status;
        return Status::of(omen_store_search(handle_, queries.data(), nq, k, &options, ids.data(), distances.data()));
    }
    /** Finds the k nearest vectors of each query. */
    Neighbours search(Vectors queries, std::size_t k, const omen_search_options &options = SearchOptions()) const {
        const std::size_t nq = rows(queries);
        if (nq != 0 && k > std::numeric_limits<std::size_t>::max() / sizeof(std::uint64_t) / nq)
            Status(OMEN_TOO_BIG, "k: found " + std::to_string(k) + " for " + std::to_string(nq) + " queries").raise();
        Neighbours found{std::vector<std::uint64_t>(nq * k), std::vector<float>(nq * k)};
        try_search(queries, k, found.ids, found.distances, options).raise();
        return found;
    }

    // Compressing and upkeep

    /** compress() with a status; `report` is written only on success. */
    Status try_compress(const CompressOptions &options, omen_compress_report &report) {
        report.struct_size = sizeof report;
        return detail::with_progress<omen_compress_options>(options, options.on_progress, [&](const auto *given) {
            return omen_store_compress(handle_, given, &report);
        });
    }
    /** stats() with a status. */
    Status try_stats(struct omen_store_stats &stats) const {
        stats.struct_size = sizeof stats;
        return Status::of(::omen_store_stats(handle_, &stats));
    }
    /** verify() with a status. */
    Status try_verify(omen_verify_report &report, const WorkOptions &options = WorkOptions()) const {
        report.struct_size = sizeof report;
        return detail::with_progress<omen_work_options>(options, options.on_progress, [&](const auto *given) {
            return omen_store_verify(handle_, given, &report);
        });
    }
    /** compact() with a status. */
    Status try_compact(const WorkOptions &options = WorkOptions()) {
        return detail::with_progress<omen_work_options>(options, options.on_progress, [&](const auto *given) {
            return omen_store_compact(handle_, given);
        });
    }

    /** Replaces every vector by its code. Returns the sizes and errors that were measured. */
    omen_compress_report compress(const CompressOptions &options = CompressOptions()) {
        omen_compress_report report{};
        try_compress(options, report).raise();
        return report;
    }
    /** What the store holds and how many bytes it takes on disk. */
    struct omen_store_stats stats() const {
        struct omen_store_stats stats{};
        try_stats(stats).raise();
        return stats;
    }
    /** Reads every byte and compares all checksums. */
    omen_verify_report verify(const WorkOptions &options = WorkOptions()) const {
        omen_verify_report report{};
        try_verify(report, options).raise();
        return report;
    }
    /** Frees the bytes of deleted and replaced vectors on disk. */
    void compact(const WorkOptions &options = WorkOptions()) { try_compact(options).raise(); }

  private:
    /** Number of vectors in `vectors`. */
    std::size_t rows(Vectors vectors) const noexcept { return dim_ == 0 ? 0 : vectors.size() / dim_; }
    /** Checks that `found` floats are whole vectors. If the store is not open, the function of C reports it. */
    Status is_whole(const char *what, std::size_t found) const {
        if (!is_open_ || found % dim_ == 0) return {};
        return {OMEN_INVALID_ARGUMENT, std::string(what) + ": found " + std::to_string(found) +
                                           " floats, expected a multiple of " + std::to_string(dim_) + " (dim)"};
    }
    /** Checks that `found` floats are `n` vectors. If the store is not open, the function of C reports it. */
    Status fits(const char *what, std::size_t found, std::size_t n) const {
        if (!is_open_ || found == n * dim_) return {};
        return detail::invalid(what, found, std::to_string(n) + " x " + std::to_string(dim_) + " floats");
    }
    static Status has_room(const char *what, std::size_t found, std::size_t nq, std::size_t k) {
        if (nq == 0 ? found == 0 : found % nq == 0 && found / nq == k) return {};
        return detail::invalid(what, found, std::to_string(nq) + " x " + std::to_string(k));
    }

    omen_store *handle_ = nullptr;
    std::uint32_t dim_ = 0;
    bool is_open_ = false;
};

} // namespace omen

#endif /* OMEN_HPP */
