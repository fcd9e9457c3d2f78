"""The store: one method for each omen_store_* function of include/omen.h. The header has the conventions, the errors, and
what is on disk when a method returns."""
from std.memory import OpaquePointer, Pointer

from .header import *
from .library import Library, Linked, check, check_version, text

comptime Handle = Optional[OpaquePointer[MutUntrackedOrigin]]
comptime Nullable[T: AnyType] = Optional[Pointer[T, MutUntrackedOrigin]]

comptime Progress = def(OpaquePointer[MutUntrackedOrigin], UInt64, UInt64) thin abi("C") -> Int32
"""Called with (user, done, total). Returns 0 to go on; anything else stops the call. It must be a top-level
`def ... abi("C")` that does not raise, and gets its data through `user`: a closure compiles, but crashes."""


def version() -> String:
    """The version of the linked library, as "0.1.0"."""
    return text["omen_version"](Linked())


def store_options() -> StoreOptions:
    """Options for opening, all at their defaults, from the linked library."""
    return store_options(Linked())


def store_options[L: Library](library: L) -> StoreOptions:
    """Options for opening, all at their defaults, from `library`."""
    var options = StoreOptions()
    library.call["omen_store_options_init", NoneType](Pointer(to=options))
    return options^


def open(path: String, dim: UInt32 = 0, var options: Optional[StoreOptions] = None) raises -> Store[Linked]:
    """Opens the store in the directory `path`, or creates it, through the library the program is linked with."""
    return Store(Linked(), path, dim, options^)


struct Store[L: Library](Movable, SizedRaising):
    """An open store. Its destructor closes it; after `close` every method raises OMEN_INVALID_HANDLE.

    Vectors are `dim` floats each, one after another, in anything that converts to a Span: List, Array, SIMD in memory.
    They are passed without a copy. A buffer of the wrong length raises OMEN_INVALID_ARGUMENT before the library is called.
    """

    var _library: Self.L
    var _handle: Handle
    var dim: Int
    """Floats in a vector."""

    # Opening and closing

    def __init__(
        out self, var library: Self.L, path: String, dim: UInt32 = 0, var options: Optional[StoreOptions] = None
    ) raises:
        """Opens the store in the directory `path`, or creates it.

        Args:
            library: `Linked()` or `Loaded("libomen.so")`.
            path: The directory.
            dim: Floats in a vector; 0 accepts that of an existing store.
            options: From `store_options`; None: the defaults, and any metric.
        """
        check_version(library)
        self._library = library^
        self._handle = None
        self.dim = 0
        var name = path
        var at = Nullable[StoreOptions]()
        if options:
            at = Pointer(to=options.value()).unsafe_origin_cast[MutUntrackedOrigin]()
        var status = self._library.call["omen_store_open", Int32](
            name.as_c_string_span().ptr(), dim, at, Pointer(to=self._handle)
        )
        _ = options^  # lives to here
        check(self._library, status)
        self.dim = Int(self._library.call["omen_store_dim", UInt32](self._handle))

    def __deinit__(deinit self):
        _ = _close(self._library, self._handle)

    def close(self) raises:
        """Commits and closes. Raises an error if that fails, which the destructor cannot do."""
        check(self._library, _close(self._library, self._handle))

    def __len__(self) raises -> Int:
        """Number of vectors in the store."""
        var count = UInt64(0)
        check(self._library, self._library.call["omen_store_count", Int32](self._handle, Pointer(to=count)))
        return Int(count)

    # Writing: each call is all or nothing.

    def insert(self, vectors: Span[Float32, _]) raises -> UInt64:
        """Inserts vectors under consecutive ids after the largest id that was ever in the store; returns the first."""
        return self._insert(Nullable[UInt64](), vectors, self._rows("vectors", len(vectors)))

    def insert(self, ids: Span[UInt64, _], vectors: Span[Float32, _]) raises:
        """Inserts vectors under ids that are not in the store."""
        self._expect_vectors(len(vectors), len(ids))
        _ = self._insert(_nullable(ids), vectors, len(ids))

    def _insert(self, ids: Nullable[UInt64], vectors: Span[Float32, _], n: Int) raises -> UInt64:
        var first = UInt64(0)
        check(self._library, self._library.call["omen_store_insert", Int32](
            self._handle, ids, vectors.unsafe_ptr(), n, Pointer(to=first)
        ))
        return first

    def upsert(self, ids: Span[UInt64, _], vectors: Span[Float32, _]) raises:
        """Inserts vectors, and replaces those whose id is in the store."""
        self._expect_vectors(len(vectors), len(ids))
        check(self._library, self._library.call["omen_store_upsert", Int32](
            self._handle, ids.unsafe_ptr(), vectors.unsafe_ptr(), len(ids)
        ))

    def delete(self, ids: Span[UInt64, _]) raises -> UInt64:
        """Deletes the vectors of the ids, and returns how many it deleted. Ids that are not in the store are ignored."""
        var deleted = UInt64(0)
        check(self._library, self._library.call["omen_store_delete", Int32](
            self._handle, ids.unsafe_ptr(), len(ids), Pointer(to=deleted)
        ))
        return deleted

    def commit(self) raises:
        """Makes all writes so far survive a crash of the machine."""
        check(self._library, self._library.call["omen_store_commit", Int32](self._handle))

    # Reading: readers do not wait.

    def get(self, ids: Span[UInt64, _], vectors: Span[mut=True, Float32, _]) raises:
        """Fills `vectors` with those of the ids. If an id is missing, raises OMEN_NOT_FOUND and writes nothing."""
        self._get(ids, vectors, Nullable[UInt8]())

    def get(
        self, ids: Span[UInt64, _], vectors: Span[mut=True, Float32, _], found: Span[mut=True, UInt8, _]
    ) raises:
        """Fills `vectors` with those of the ids, and `found` with 1. Where an id is missing both are filled with 0."""
        self._expect_length("found", len(found), len(ids))
        self._get(ids, vectors, _nullable(found))

    @always_inline
    def _get(self, ids: Span[UInt64, _], vectors: Span[mut=True, Float32, _], found: Nullable[UInt8]) raises:
        self._expect_vectors(len(vectors), len(ids))
        check(self._library, self._library.call["omen_store_get", Int32](
            self._handle, ids.unsafe_ptr(), len(ids), vectors.unsafe_ptr(), found
        ))

    def contains(self, ids: Span[UInt64, _], found: Span[mut=True, UInt8, _]) raises:
        """Fills `found` with 1 or 0 for each id."""
        self._expect_length("found", len(found), len(ids))
        check(self._library, self._library.call["omen_store_contains", Int32](
            self._handle, ids.unsafe_ptr(), len(ids), found.unsafe_ptr()
        ))

    def scan(
        self, mut position: UInt64, ids: Span[mut=True, UInt64, _], vectors: Span[mut=True, Float32, _]
    ) raises -> Int:
        """Reads as many vectors as `ids` holds, by ascending id from `position` on; returns how many, 0 at the end.

        Start with a `position` of 0; each call moves it on.
        """
        self._expect_vectors(len(vectors), len(ids))
        return self._scan(position, ids, _nullable(vectors))

    def scan(self, mut position: UInt64, ids: Span[mut=True, UInt64, _]) raises -> Int:
        """Reads only the ids."""
        return self._scan(position, ids, Nullable[Float32]())

    def _scan(self, mut position: UInt64, ids: Span[mut=True, UInt64, _], vectors: Nullable[Float32]) raises -> Int:
        var n = 0
        check(self._library, self._library.call["omen_store_scan", Int32](
            self._handle, Pointer(to=position), len(ids), ids.unsafe_ptr(), vectors, Pointer(to=n)
        ))
        return n

    def search_options(self) -> SearchOptions:
        """Options for search, all at their defaults."""
        var options = SearchOptions()
        self._library.call["omen_search_options_init", NoneType](Pointer(to=options))
        return options^

    def search(
        self, queries: Span[Float32, _], k: Int, ids: Span[mut=True, UInt64, _], distances: Span[mut=True, Float32, _]
    ) raises:
        """Finds the `k` nearest vectors of each query: ids and distances `[queries][k]`, nearest first."""
        self.search(queries, k, ids, distances, self.search_options())

    def search(
        self, queries: Span[Float32, _], k: Int, ids: Span[mut=True, UInt64, _], distances: Span[mut=True, Float32, _],
        options: SearchOptions,
    ) raises:
        """The same with options."""
        var n = self._rows("queries", len(queries))
        self._expect_length("ids", len(ids), n * k)
        self._expect_length("distances", len(distances), n * k)
        check(self._library, self._library.call["omen_store_search", Int32](
            self._handle, queries.unsafe_ptr(), n, k, Pointer(to=options), ids.unsafe_ptr(), distances.unsafe_ptr()
        ))

    def search(
        self, queries: Span[Float32, _], k: Int, ids: Span[mut=True, UInt64, _], distances: Span[mut=True, Float32, _],
        var options: SearchOptions, allow_ids: Span[UInt64, _],
    ) raises:
        """The same with a filter: only `allow_ids` are found. An empty list finds nothing."""
        # To the library an empty array means no filter. OMEN_NO_ID is the id of no vector, so it allows nothing.
        var nothing = OMEN_NO_ID
        options.allow_ids = _nullable(allow_ids if len(allow_ids) > 0 else Span(unsafe_ptr=Pointer(to=nothing), length=1))
        options.allow_n = UInt64(max(len(allow_ids), 1))
        self.search(queries, k, ids, distances, options)
        _ = nothing  # lives to here

    def search(
        self, queries: Span[Float32, _], k: Int, ids: Span[mut=True, UInt64, _], distances: Span[mut=True, Float32, _],
        var options: SearchOptions, *, deny_ids: Span[UInt64, _],
    ) raises:
        """The same without `deny_ids`."""
        options.deny_ids = _nullable(deny_ids)
        options.deny_n = UInt64(len(deny_ids))
        self.search(queries, k, ids, distances, options)

    # Compressing and upkeep

    def compress_options(self) -> CompressOptions:
        """Options for compress, all at their defaults."""
        var options = CompressOptions()
        self._library.call["omen_compress_options_init", NoneType](Pointer(to=options))
        return options^

    def compress(self, options: CompressOptions) raises -> CompressReport:
        """Makes the whole directory `options.ratio` times smaller than the vectors as floats; returns what it measured."""
        var report = CompressReport()
        check(self._library, self._library.call["omen_store_compress", Int32](
            self._handle, Pointer(to=options), Pointer(to=report)
        ))
        return report^

    def compress[User: AnyType](
        self, var options: CompressOptions, progress: Progress, mut user: User
    ) raises -> CompressReport:
        """The same with a progress function. If it stops the call, OMEN_CANCELLED is raised and nothing changes."""
        options.progress = _function(progress)
        options.user = _address(user)
        return self.compress(options)

    def stats(self) raises -> StoreStats:
        """Returns what the store holds and how many bytes it takes on disk."""
        var stats = StoreStats()
        check(self._library, self._library.call["omen_store_stats", Int32](self._handle, Pointer(to=stats)))
        return stats^

    def work_options(self) -> WorkOptions:
        """Options for verify, compact and backup, all at their defaults."""
        var options = WorkOptions()
        self._library.call["omen_work_options_init", NoneType](Pointer(to=options))
        return options^

    def verify(self) raises -> VerifyReport:
        """Reads every byte from the disk and compares all checksums."""
        return self.verify(self.work_options())

    def verify(self, options: WorkOptions) raises -> VerifyReport:
        """The same with options."""
        var report = VerifyReport()
        check(self._library, self._library.call["omen_store_verify", Int32](
            self._handle, Pointer(to=options), Pointer(to=report)
        ))
        return report^

    def verify[User: AnyType](
        self, var options: WorkOptions, progress: Progress, mut user: User
    ) raises -> VerifyReport:
        """The same with a progress function. If it stops the call, OMEN_CANCELLED is raised."""
        options.progress = _function(progress)
        options.user = _address(user)
        return self.verify(options)

    def compact(self) raises:
        """Frees the bytes of deleted and replaced vectors on disk."""
        self.compact(self.work_options())

    def compact(self, options: WorkOptions) raises:
        """The same with options."""
        check(self._library, self._library.call["omen_store_compact", Int32](self._handle, Pointer(to=options)))

    def compact[User: AnyType](self, var options: WorkOptions, progress: Progress, mut user: User) raises:
        """The same with a progress function. If it stops the call, OMEN_CANCELLED is raised and nothing changes."""
        options.progress = _function(progress)
        options.user = _address(user)
        self.compact(options)

    def backup(self, path: String) raises:
        """Copies the store into a new directory: OMEN_UNSUPPORTED in this version."""
        self.backup(path, self.work_options())

    def backup(self, path: String, options: WorkOptions) raises:
        """The same with options."""
        var name = path
        check(self._library, self._library.call["omen_store_backup", Int32](
            self._handle, name.as_c_string_span().ptr(), Pointer(to=options)
        ))

    def refresh(self) raises:
        """Shows a read-only store what was committed since it was opened: OMEN_UNSUPPORTED in this version."""
        check(self._library, self._library.call["omen_store_refresh", Int32](self._handle))

    # Lengths

    def _rows(self, what: StaticString, floats: Int) raises -> Int:
        """Number of vectors in `floats` floats; an error if that is not a whole number."""
        if floats % self.dim != 0:
            raise self._wrong_length(what, floats, String("a multiple of ", self.dim, " (dim)"))
        return floats // self.dim

    @always_inline
    def _expect_vectors(self, found: Int, n: Int) raises:
        if found != n * self.dim:
            raise self._wrong_length("vectors", found, String(n * self.dim, " (", n, " x dim ", self.dim, ")"))

    @always_inline
    def _expect_length(self, what: StaticString, found: Int, expected: Int) raises:
        if found != expected:
            raise self._wrong_length(what, found, String(expected))

    def _wrong_length(self, what: StaticString, found: Int, expected: String) -> Error:
        var status = text["omen_status_name"](self._library, OMEN_INVALID_ARGUMENT)
        return Error(status, ": ", what, ": length ", found, ", expected ", expected)


def _function(progress: Progress) -> Handle:
    """A progress function as the header's pointer."""
    var function = progress
    return Pointer(to=function).unsafe_bitcast[Handle]()[]


def _address[User: AnyType](mut user: User) -> Handle:
    """A pointer to `user`, which must outlive the call."""
    return Pointer(to=user).unsafe_bitcast[NoneType]().unsafe_origin_cast[MutUntrackedOrigin]()


def _close[L: Library](library: L, handle: Handle) -> Int32:
    return library.call["omen_store_close", Int32](handle)


def _nullable[T: Copyable](span: Span[T, _]) -> Nullable[T]:
    """A pointer to the span, for an argument that may be NULL. The span must outlive the call."""
    return span.unsafe_ptr().unsafe_mut_cast[True]().unsafe_origin_cast[MutUntrackedOrigin]()
