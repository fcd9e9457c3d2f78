"""The peers, all with one interface.

    train(rows)         learns from float32 [n][dim]
    encode(rows)        returns codes, in whatever form decode and found take
    decode(codes)       returns float32 [n][dim]
    total_bytes(codes)  bytes a vector, with everything a reader needs: codebooks, rotations, means, scales
    code_bytes(codes)   bytes a vector of the codes alone
    found(codes, data)  (ids [nq][K] by the codec's own estimate, the exact ids); None: it ranks like its decoded rows

A peer is named `family size`: `pq 32x8` is 32 subspaces of 8 bits, and `sq 8`, `turbovec 2` and
`rabitq 3` are 8, 2 and 3 bits a dim.
"""
import faiss
import numpy as np
import rabitq
from data import unit_length
from recall import K
from subspaces import Rotated, Subspaces, book_bytes, code_bytes

FLOAT = 4
CALIBRATION_ROWS = 4096
DECODED_AT_ONCE = 10_000
RABITQ_BITS = range(1, 9)


class Codes:
    """Peers with plain codes, uint8 [n][code bytes]. side_bytes: the bytes of everything that is not codes."""

    def code_bytes(self, codes):
        return codes.shape[1]

    def total_bytes(self, codes):
        return codes.shape[1] + self.side_bytes / len(codes)

    def found(self, codes, data):
        return None


class Faiss(Codes):
    """An index of FAISS that can also encode and decode."""

    def __init__(self, factory, data, side_bytes):
        self.index = faiss.index_factory(data.dim, factory, metric_of(data))
        self.side_bytes = side_bytes

    def train(self, rows):
        self.index.train(rows)

    def encode(self, rows):
        return self.index.sa_encode(rows)

    def decode(self, codes):
        return self.index.sa_decode(codes)

    def found(self, codes, data):
        if isinstance(self.index, faiss.IndexFlatCodes):
            self.index.add_sa_codes(codes)
        else:
            self.index.add(data.base)
        # FAISS searches 4-bit codes best in this index: tables of 8 bits, blocks of 32 codes.
        is_4_bit = isinstance(self.index, faiss.IndexPQ) and self.index.pq.nbits == 4
        index = faiss.IndexPQFastScan(self.index) if is_4_bit else self.index
        return index.search(data.queries, K)[1], data.neighbours


class Ours(Codes):
    """Quantizers of FAISS, put together and trained by subspaces.py."""

    def __init__(self, codec, code_bytes, side_bytes):
        self.each, self.side_bytes = code_bytes, side_bytes
        self.train, self.encode, self.decode = codec.train, codec.encode, codec.decode

    def code_bytes(self, codes):
        return self.each

    def total_bytes(self, codes):
        return self.each + self.side_bytes / len(codes)


class Turbovec:
    """turbovec, calibrated on a random sample before anything is added. Its "codes" are a whole index.

    It has no decode. Its estimates are linear in the query, so its scores for the unit vectors are the components of
    the decoded vector. Its 8-bit tables enlarge that error by about 0.4 %.
    """

    def __init__(self, bits, data):
        from turbovec import TurboQuantIndex
        self.new = lambda: TurboQuantIndex(dim=data.dim, bit_width=bits)
        self.dim = data.dim

    def train(self, rows):
        self.sample = np.ascontiguousarray(rows[:CALIBRATION_ROWS])
        self.new().calibrate(self.sample)

    def encode(self, rows, sample=None):
        index = self.new()
        index.calibrate(self.sample if sample is None else sample)
        index.add(rows, chunk_size=0)
        return index

    def decode(self, index):
        rows = np.zeros((len(index), self.dim), dtype=np.float32)
        for component, unit in enumerate(np.eye(self.dim, dtype=np.float32)):
            scores, ids = index.search(unit[None], len(index))
            rows[ids[0], component] = scores[0]
        return rows

    def total_bytes(self, index):
        return len(index.to_bytes()) / len(index)

    def code_bytes(self, index):
        return None

    def found(self, index, data):
        """It knows inner products only: data of another metric is scaled to length one, and has its own neighbours then."""
        if data.is_ip:
            return index.search(data.queries, K)[1], data.neighbours
        base, queries = unit_length(data.base), unit_length(data.queries)
        index = self.encode(base, unit_length(self.sample))
        return index.search(queries, K)[1], data.scan(base, queries, is_ip=True)


class RaBitQ(Codes):
    """RaBitQ of FAISS behind a random rotation, which follows from a seed and is not counted.

    Its FastScan searches, with queries of 8 bits: a hundred times as fast as the plain index with floats, at the same recall.
    FAISS stores up to five factors with a code. Two of them suffice, so the bytes of the codes alone count two.
    """

    def __init__(self, bits, data):
        self.bits, self.dim = bits, data.dim
        self.index = self.new('RaBitQ', faiss.METRIC_L2)
        self.side_bytes = data.dim * FLOAT  # the mean

    def code_bytes(self, codes):
        return -(-self.dim * self.bits // 8) + 2 * FLOAT

    def new(self, kind, metric):
        return faiss.index_factory(self.dim, f'RR{self.dim},{kind}' + (str(self.bits) if self.bits > 1 else ''), metric)

    def train(self, rows):
        self.rows = rows
        self.index.train(rows)

    def encode(self, rows):
        return self.index.sa_encode(rows)

    def decode(self, codes):
        rotation = faiss.downcast_VectorTransform(self.index.chain.at(0))
        mean = faiss.vector_to_array(faiss.downcast_index(self.index.index).center)
        parts = np.array_split(codes, 1 + len(codes) // DECODED_AT_ONCE)
        return np.vstack([rotation.reverse_transform(mean + rabitq.residuals(part, self.dim, self.bits)) for part in parts])

    def found(self, codes, data):
        """Codes for inner products have other factors."""
        index = self.new('RaBitQfs', metric_of(data))
        faiss.downcast_index(index.index).qb = 8
        index.train(self.rows)
        index.add(data.base)
        return index.search(data.queries, K)[1], data.neighbours


def metric_of(data):
    return faiss.METRIC_INNER_PRODUCT if data.is_ip else faiss.METRIC_L2


def bytes_of(family, dim, count, bits):
    """Bytes of a code, and bytes beside the codes: centroids, and the rotation and the mean if there is one, all float32."""
    return code_bytes(dim, count, bits), side_bytes(family, dim, count, bits)


def side_bytes(family, dim, count, bits):
    book = book_bytes(dim, bits)
    if family in ('rq', 'lsq'):
        return count * book  # a centroid has all dims
    if family == 'opq-default':
        return book + dim * dim * FLOAT
    if family.startswith('opq'):
        return book + dim * dim * FLOAT + dim * FLOAT
    return book


def most_subspaces(family, dim, n, bits, room):
    """The most subspaces with which n vectors take at most `room` bytes each, side bytes included; 0 if none."""
    def fits(count):
        code, side = bytes_of(family, dim, count, bits)
        return code + side / n <= room
    return max((count for count in range(1, dim + 1) if fits(count)), default=0)


def peer(name, data):
    """The peer with this name."""
    family, size = name.split()
    if family == 'turbovec':
        return Turbovec(int(size), data)
    if family == 'rabitq':
        return RaBitQ(int(size), data)
    if family == 'sq':
        return Faiss(f'SQ{size}', data, 2 * data.dim * FLOAT)
    count, bits = map(int, size.split('x'))
    code, side = bytes_of(family, data.dim, count, bits)
    if family in ('rq', 'lsq'):
        return Faiss(f'{family.upper()}{size}', data, side)
    if family == 'pq' and data.dim % count == 0:
        return Faiss(f'PQ{size}' + ('np' if bits == 8 else ''), data, side)
    if family == 'pq':
        return Ours(Subspaces(data.dim, count, bits), code, side)
    if family == 'opq-default':
        # FAISS needs equal widths and drops the remaining dims.
        kept = data.dim // count * count
        return Faiss(f'OPQ{count}_{kept},PQ{size}np', data, (1 << bits) * kept * FLOAT + data.dim * kept * FLOAT)
    return Ours(Rotated(data.dim, count, bits, family.removeprefix('opq-')), code, side)


def names(dim, n, ratios):
    """Every peer to be measured beside libomen at these ratios, cheap ones first.

    At a ratio r codes and side bytes together get dim x 4 / r bytes, as libomen defines a ratio. At ratio 16 there are also
    peers whose codes alone have that size, as papers count it. FAISS takes more than ten times as long for subspaces of one
    or two dims as for three, and OPQ trains them several times, so there is no OPQ below ratio 16.
    """
    found = ['sq 8', 'sq 4', 'turbovec 4', 'turbovec 2', *(f'rabitq {bits}' for bits in RABITQ_BITS)]
    for ratio in ratios:
        room = dim * FLOAT / ratio
        families = [('pq', 8)]
        if ratio >= 16:
            families += [('opq-identity', 8), ('opq-eigenvalues', 8)]
        if ratio == 16:
            families += [('pq', 4), ('opq-default', 8)]
        sized = [(family, bits, most_subspaces(family, dim, n, bits, room)) for family, bits in families]
        if ratio == 16:
            sized += [(family, bits, int(room * 8) // bits) for family, bits in families]
        if ratio in (16, 64):
            sized += [(family, 8, int(room)) for family in ('rq', 'lsq')]
        found += [f'{family} {count}x{bits}' for family, bits, count in sized if count > 0]
    cost = ['sq', 'turbovec', 'rabitq', 'pq', 'opq-identity', 'opq-eigenvalues', 'opq-default', 'rq', 'lsq']
    return sorted(dict.fromkeys(found), key=lambda name: cost.index(name.split()[0]))
