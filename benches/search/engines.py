"""The engines, all with one interface.

    build(data, threads)  builds the index of data.base; save() writes it to self.path, a folder of its own
    open()                reads what save wrote
    set(setting)          {'ef': 32.0}: the options of the next ready()
    ready(queries, each)  returns (calls, ids). calls are functions without arguments; each searches for `each` queries by
                          the cheapest call of the engine, with everything prepared. ids(results) is int64 [nq][K]
    ready_filtered(queries, filters)
                          the same for one query a call, each with its own filter, for engines that have them. What an engine
                          makes of the filter before the call is prepared too, and not timed

An engine is named `family size`: `fastscan 64x4` is 64 subspaces of 4 bits, `hnswlib 16` 16 edges, `omen 16` ratio 16.
"""
import functools
import hashlib
import importlib.metadata
import itertools

import filters
import numpy as np
from omen import READ_ONLY, Library, Search, Store
from recall import K

TRAINED_ON = 50_000
LISTS_TRAINED_ON = 50  # rows a list of an IVF
EF_CONSTRUCTION = 200
CALIBRATION_ROWS = 4096
EFS = [f'ef {ef}' for ef in (16, 32, 64, 128)]
LARGE = 200_000
LISTS, LISTS_LARGE = 1024, 4096


def parts(queries, each):
    return [queries[at:at + each] for at in range(0, len(queries), each)]


def mask(filter, n):
    """uint8 [n]: 1 for the rows that a filter with a list of allowed ids lets through."""
    allowed = np.zeros(n, dtype=np.uint8)
    allowed[filter.ids] = 1
    return allowed


def whole_rows(results):
    """Ids int64 [nq][K] of results whose first columns are ids; -1 where there are fewer than K."""
    ids = [[int(row[0]) for row in rows] for rows in results]
    return np.array([found + [-1] * (K - len(found)) for found in ids])


class Engine:
    package = None   # the Python package; another version of it makes a kept index stale
    has_batch = True
    is_unit = False  # searches a copy of the vectors, scaled to length one

    def __init__(self, size, facts, path, library):
        """facts: the members that data.Data and truth.Truth share; library: the path of libomen."""
        self.size, self.facts, self.path, self.library = size, facts, path, library
        self.file = str(path / 'index')

    def save(self):
        pass

    def set(self, setting):
        pass


class Faiss(Engine):
    package = 'faiss-cpu'
    FACTORY = 'Flat'

    def __init__(self, *arguments):
        super().__init__(*arguments)
        import faiss
        self.faiss = faiss

    def factory(self):
        return self.FACTORY.format(size=self.size, half=self.facts.dim // 2, quarter=self.facts.dim // 4)

    def build(self, data, threads):
        metric = self.faiss.METRIC_INNER_PRODUCT if data.is_ip else self.faiss.METRIC_L2
        self.faiss.omp_set_num_threads(threads)
        self.index = self.faiss.index_factory(data.dim, self.factory(), metric)
        self.prepare()
        self.index.train(data.train[:self.trained_on()])
        self.index.add(data.base)

    def prepare(self):
        pass

    def trained_on(self):
        return TRAINED_ON

    def save(self):
        self.faiss.write_index(self.index, self.file)

    def open(self):
        self.faiss.omp_set_num_threads(1)
        self.index = self.faiss.read_index(self.file)

    def ready(self, queries, each):
        ids = np.empty((len(queries), K), dtype=np.int64)
        distances = np.empty((len(queries), K), dtype=np.float32)
        pointer = self.faiss.swig_ptr
        calls = [functools.partial(self.index.search_c, len(q), pointer(q), K, pointer(d), pointer(i))
                 for q, d, i in zip(*(parts(array, each) for array in (queries, distances, ids)))]
        # The function keeps the arrays alive that the pointers point to.
        return calls, lambda _, kept=(queries, distances): ids


class FastScan(Faiss):
    FACTORY = 'PQ{size}fs'


class Pq(Faiss):
    FACTORY = 'PQ{size}np'


class Ivf(Faiss):
    FACTORY = 'IVF{size},PQ{half}x4fs'

    def trained_on(self):
        return LISTS_TRAINED_ON * int(self.size)

    def set(self, setting):
        self.index.nprobe = int(setting['nprobe'])

    def ready_filtered(self, queries, filters):
        """Each call has a selector with a bitmap of the rows."""
        ids = np.empty((len(queries), K), dtype=np.int64)
        distances = np.empty((len(queries), K), dtype=np.float32)
        pointer, calls = self.faiss.swig_ptr, []
        selected = lambda filter: self.faiss.IDSelectorBitmap(np.packbits(mask(filter, self.facts.n), bitorder='little'))
        params = [self.faiss.SearchParametersIVF(sel=selected(filter), nprobe=self.index.nprobe) for filter in filters]
        for q, d, i, param in zip(*(parts(array, 1) for array in (queries, distances, ids)), params):
            calls.append(functools.partial(self.index.search_c, 1, pointer(q), K, pointer(d), pointer(i), param))
        return calls, lambda _, kept=(queries, distances): ids


class IvfPq(Ivf):
    """As many bytes, more recall, and slower."""
    FACTORY = 'IVF{size},PQ{quarter}x8'


class FaissHnsw(Faiss):
    FACTORY = 'HNSW{size}'

    def prepare(self):
        self.index.hnsw.efConstruction = EF_CONSTRUCTION

    def set(self, setting):
        self.index.hnsw.efSearch = int(setting['ef'])


class Hnswlib(Engine):
    package = 'hnswlib'

    def __init__(self, *arguments):
        super().__init__(*arguments)
        import hnswlib
        self.index = hnswlib.Index('ip' if self.facts.is_ip else 'l2', self.facts.dim)

    def build(self, data, threads):
        self.index.init_index(data.n, ef_construction=EF_CONSTRUCTION, M=int(self.size))
        self.index.add_items(data.base, num_threads=threads)

    def save(self):
        self.index.save_index(self.file)

    def open(self):
        self.index.load_index(self.file)
        self.index.set_num_threads(1)

    def set(self, setting):
        self.index.set_ef(int(setting['ef']))

    def ready(self, queries, each):
        calls = [functools.partial(self.index.knn_query, part, K) for part in parts(queries, each)]
        return calls, lambda results: np.concatenate([labels for labels, _ in results]).astype(np.int64)

    def ready_filtered(self, queries, filters):
        """Its filter is a function that it calls for each row it comes to. The cheapest one in Python is a method of bytes."""
        accepts = [mask(filter, self.facts.n).tobytes().__getitem__ for filter in filters]
        calls = [functools.partial(self.found, part, accept) for part, accept in zip(parts(queries, 1), accepts)]
        return calls, np.concatenate

    def found(self, query, accept):
        try:
            return self.index.knn_query(query, K, 1, accept)[0].astype(np.int64)
        except RuntimeError:  # it found fewer than K
            return np.full((1, K), -1)


class Usearch(Engine):
    package = 'usearch'
    EDGES = 16

    def __init__(self, *arguments):
        super().__init__(*arguments)
        from usearch.index import Index
        metric = 'ip' if self.facts.is_ip else 'l2sq'
        self.index = Index(ndim=self.facts.dim, metric=metric, dtype=self.size, connectivity=self.EDGES,
                           expansion_add=EF_CONSTRUCTION)

    def converted(self, rows):
        """usearch converts floats to bytes for inner products only. For L2, bytes are shifted to its signed ones here."""
        if self.size != 'i8' or self.facts.is_ip:
            return rows
        if not (rows == np.clip(rows.round(), 0, 255)).all():
            raise ValueError('usearch i8 with L2 takes whole numbers from 0 to 255')
        return (rows - 128).astype(np.int8)

    def build(self, data, threads):
        self.index.add(np.arange(data.n, dtype=np.uint64), self.converted(data.base), threads=threads)

    def save(self):
        self.index.save(self.file)

    def open(self):
        self.index.load(self.file)

    def set(self, setting):
        self.index.expansion_search = int(setting['ef'])

    def ready(self, queries, each):
        # The function that Index.search calls: Index.search itself takes half as long again in Python.
        search = self.index._compiled.search_many
        calls = [functools.partial(search, part, K, False, 1) for part in parts(self.converted(queries), each)]
        return calls, lambda results: np.concatenate([result[0] for result in results]).astype(np.int64)


class Turbovec(Engine):
    """turbovec knows inner products only: data of another metric is scaled to length one."""
    package = 'turbovec'

    def __init__(self, *arguments):
        super().__init__(*arguments)
        from turbovec import TurboQuantIndex
        self.kind = TurboQuantIndex
        self.is_unit = not self.facts.is_ip

    def converted(self, rows):
        from data import unit_length
        return unit_length(rows) if self.is_unit else rows

    def build(self, data, threads):
        self.index = self.kind(dim=data.dim, bit_width=int(self.size))
        self.index.calibrate(self.converted(data.train[:CALIBRATION_ROWS]))
        self.index.add(self.converted(data.base), chunk_size=0)

    def save(self):
        self.index.write(self.file)

    def open(self):
        self.index = self.kind.load(self.file)
        self.index.prepare()

    def ready(self, queries, each):
        calls = [functools.partial(self.index.search, part, K) for part in parts(self.converted(queries), each)]
        return calls, lambda results: np.concatenate([ids for _, ids in results]).astype(np.int64)


class Zvec(Engine):
    """zvec has no call for several queries. size: `hnsw`, or `values` with an indexed column to filter by."""
    package = 'zvec'
    has_batch = False
    EDGES = 16
    INSERTED_AT_ONCE = 1000

    def __init__(self, *arguments):
        super().__init__(*arguments)
        import zvec
        self.zvec = zvec

    def build(self, data, threads):
        zvec = self.zvec
        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=1, optimize_threads=threads)
        metric = zvec.MetricType.IP if data.is_ip else zvec.MetricType.L2
        graph = zvec.HnswIndexParam(metric_type=metric, m=self.EDGES, ef_construction=EF_CONSTRUCTION)
        field = zvec.VectorSchema('vector', zvec.DataType.VECTOR_FP32, data.dim, index_param=graph)
        columns, values = None, itertools.repeat({})
        if self.size == 'values':
            index = zvec.InvertIndexParam(enable_range_optimization=True)
            columns = zvec.FieldSchema('value', zvec.DataType.INT64, index_param=index)
            values = ({'value': value} for value in filters.values(data.n).tolist())
        schema = zvec.CollectionSchema('bench', fields=columns, vectors=field)
        collection = zvec.create_and_open(path=self.file, schema=schema)
        docs = (zvec.Doc(id=str(row), fields=fields, vectors={'vector': vector})
                for row, (vector, fields) in enumerate(zip(data.base, values)))
        while some := list(itertools.islice(docs, self.INSERTED_AT_ONCE)):
            collection.insert(some)
        collection.flush()
        collection.optimize()
        collection.flush()

    def open(self):
        self.zvec.init(log_level=self.zvec.LogLevel.ERROR, query_threads=1, optimize_threads=1)
        self.collection = self.zvec.open(self.file, self.zvec.CollectionOption(read_only=True))

    def set(self, setting):
        self.param = self.zvec.HnswQueryParam(ef=int(setting['ef']))

    def ready(self, queries, each):
        return [self.call(query) for query in queries], whole_rows

    def ready_filtered(self, queries, filters):
        wheres = [f'value >= {filter.low} and value < {filter.high}' for filter in filters]
        return [self.call(query, where) for query, where in zip(queries, wheres)], whole_rows

    def call(self, query, where=None):
        """What Collection.query does with its arguments before it searches."""
        from zvec.executor import QueryContext
        wanted = QueryContext(K, where, queries=[self.zvec.Query(field_name='vector', vector=query, param=self.param)])
        built = self.collection._querier._build_queries(wanted, self.collection._obj)
        return functools.partial(self.collection._obj.Query, built[0])


class SqliteVec(Engine):
    """sqlite-vec scans all rows, with a metadata column to filter by. Python's own sqlite3 often cannot load extensions."""
    package = 'sqlite-vec'
    has_batch = False

    def connected(self):
        import pysqlite3
        import sqlite_vec
        database = pysqlite3.connect(self.file)
        database.enable_load_extension(True)
        sqlite_vec.load(database)
        return database

    def build(self, data, threads):
        database = self.connected()
        database.execute(f'create virtual table t using vec0(vector float[{data.dim}], value integer)')
        rows = ((row, vector.tobytes(), value)
                for row, (vector, value) in enumerate(zip(data.base, filters.values(data.n).tolist())))
        database.executemany('insert into t(rowid, vector, value) values (?, ?, ?)', rows)
        database.commit()
        database.close()

    def open(self):
        self.database = self.connected()

    def ready(self, queries, each):
        return [self.call(query) for query in queries], whole_rows

    def ready_filtered(self, queries, filters):
        where = ' and value >= ? and value < ?'
        return [self.call(query, where, filter.low, filter.high) for query, filter in zip(queries, filters)], whole_rows

    def call(self, query, where='', *values):
        text = f'select rowid from t where vector match ? and k = {K}{where}'
        return lambda arguments=(query.tobytes(), *values): self.database.execute(text, arguments).fetchall()


class Omen(Engine):
    """size: the ratio, or `raw`."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.omen = Library(self.library)

    def build(self, data, threads):
        store = Store(self.omen, self.file, data.dim, data.is_ip, threads=threads)
        store.insert(data.base)
        report = None if self.size == 'raw' else store.compress(float(self.size))[0]
        store.close()
        return {} if report is None else dict(compress_seconds=report.seconds)

    def open(self):
        self.store = Store(self.omen, self.file, self.facts.dim, self.facts.is_ip, mode=READ_ONLY)

    def set(self, setting):
        kinds = dict(rerank=int, effort=float, exact=int)
        self.settings = {name: kinds[name](value) for name, value in setting.items()}

    def ready(self, queries, each):
        search = Search(self.store, queries, K, **self.settings)
        calls = [search.call(at, min(each, len(queries) - at)) for at in range(0, len(queries), each)]

        def ids(statuses):
            for status in statuses:
                self.omen.check('omen_store_search', status)
            return search.ids.astype(np.int64)
        return calls, ids

    def ready_filtered(self, queries, filters):
        """Each call is given ids, in ascending order, to allow or to deny."""
        searches = [Search(self.store, query, K, **{'deny' if filter.denies else 'allow': filter.ids}, **self.settings)
                    for query, filter in zip(parts(queries, 1), filters)]

        def ids(statuses):
            for status in statuses:
                self.omen.check('omen_store_search', status)
            return np.concatenate([search.ids for search in searches]).astype(np.int64)
        return [search.call(0, 1) for search in searches], ids


KINDS = {'flat': Faiss, 'fastscan': FastScan, 'pq': Pq, 'ivf': Ivf, 'ivf-pq': IvfPq, 'faiss-hnsw': FaissHnsw, 'hnswlib': Hnswlib,
         'usearch': Usearch, 'turbovec': Turbovec, 'zvec': Zvec, 'sqlite-vec': SqliteVec, 'omen': Omen}
GRAPHS = ('faiss-hnsw', 'hnswlib', 'usearch', 'zvec')
FLAT = 'flat'


def family(method):
    return method.split()[0]


def engine(method, facts, path, library):
    kind, _, size = method.partition(' ')
    return KINDS[kind](size, facts, path, library)


def version(method, library):
    """The version of an engine: that of its package, or for libomen a hash of the library."""
    package = KINDS[family(method)].package
    return importlib.metadata.version(package) if package else hashlib.sha256(library.read_bytes()).hexdigest()


def peers(dim, n):
    """Every peer of a data set. 4-bit codes with dim / 2 subspaces have the size of ratio 16, with dim subspaces of ratio 8."""
    lists = LISTS if n <= LARGE else LISTS_LARGE
    return [FLAT, f'fastscan {dim // 2}x4', f'fastscan {dim}x4', f'pq {dim // 4}x8', f'ivf {lists}', 'turbovec 2',
            'turbovec 4', 'faiss-hnsw 32', 'hnswlib 16', 'usearch f32', 'usearch i8', 'zvec hnsw']


def filter_peers(n):
    """Every peer that is measured with filters."""
    lists = LISTS if n <= LARGE else LISTS_LARGE
    return [f'ivf {lists}', f'ivf-pq {lists}', 'hnswlib 16', 'zvec values', 'sqlite-vec values']


def peer_settings(method, n):
    """The settings with which a peer is measured: texts of `name value` pairs."""
    if family(method) in GRAPHS:
        return EFS
    if family(method) in ('ivf', 'ivf-pq'):
        # Four times the lists need twice the probes for the same balance.
        return [f'nprobe {probes}' for probes in ((4, 16, 64) if n <= LARGE else (8, 32, 128))]
    return ['']


def parsed(setting):
    words = setting.split()
    return {name: float(value) for name, value in zip(words[::2], words[1::2])}
