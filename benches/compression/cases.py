"""The parts of the benchmark, and the cases of each: which rows, which ratios, which methods."""
import pathlib
from typing import NamedTuple

import made
from data import SEED, vectors
from machine import data_folders, shared
from peers import names
from records import newest

ROWS = (300, 1000, 3000, 10_000)
# Less than this cannot be compressed to a sixteenth: files consist of whole blocks.
FLOATS_LEAST = 100_000
SEEDS = (SEED + 1, SEED + 2, SEED + 3)
LONG = 'sift1m'
# These take minutes at least, and most do not finish.
LIMITED = ('rq', 'lsq')


class Part(NamedTuple):
    """ratios: None for those of the options. families: those of libomen. peers: `no`, `quick` (without LIMITED) or `all`."""
    about: str
    ratios: tuple | None = (16.0,)
    families: tuple = ('omen',)
    peers: str = 'no'


PARTS = {'ratios': Part('libomen and the peers at each ratio', None, peers='all'),
         'rows': Part('libomen at ratio 16, by the number of rows'),
         'normals': Part('independent normals, rows without structure, at ratio 15.5', (15.5,), ('omen', 'omen-best'),
                         peers='quick'),
         'turned': Part('the data sets turned by a random rotation, at ratio 16', peers='quick'),
         'seeds': Part('halves of the data sets, drawn by other seeds, at ratio 16; the seed is also that of the training')}


class Case(NamedTuple):
    """limit: rows of the base, drawn at random by `seed`; 0: all."""
    folder: pathlib.Path
    limit: int
    seed: int = SEED


def row_counts(folder, limit):
    """The numbers of rows to measure: those of ROWS that are enough and smaller than the set, and the whole set."""
    rows, dim = vectors(folder, 'base').shape
    whole = limit or rows
    return [*(count for count in ROWS if FLOATS_LEAST <= count * dim and count < whole), whole]


def cases(part, options):
    folders, limit, work = data_folders(options.data), options.limit, options.work / 'data'
    if part == 'normals':
        return [Case(made.normals(work), limit)]
    if part == 'turned':
        return [Case(made.turned(folder, work), limit) for folder in folders]
    if part == 'rows':
        long = [Case(folder, limit) for folder in (shared(LONG) if options.long else [])]
        return [Case(folder, count) for folder in folders for count in row_counts(folder, limit)] + long
    if part == 'seeds':
        halves = [(folder, row_counts(folder, limit)[-1] // 2) for folder in folders]
        return [Case(folder, half, seed) for folder, half in halves for seed in SEEDS]
    return [Case(folder, limit) for folder in folders]


def methods(part, options, data):
    """The names of the methods of a part, for this data set."""
    _, ratios, families, peers = PARTS[part]
    ratios = ratios or [float(ratio) for ratio in options.ratios.split(',')]
    engines = options.engines.split(',')
    found = [f'{family} {ratio:g}' for ratio in ratios for family in families] if 'omen' in engines else []
    if peers != 'no' and 'peers' in engines:
        found += [name for name in names(data.dim, data.n, ratios) if peers == 'all' or name.split()[0] not in LIMITED]
    wanted = [part for part in options.only.split(',') if part]
    return [name for name in found if not wanted or name.startswith(tuple(wanted))]


def by_part(paths):
    """{part: {(data, n): {method: row}}}: the last recorded row of each. Rows older than the parts are of `ratios`."""
    parts = {part: {} for part in PARTS}
    for at, rows in newest(paths, 'part', 'method').items():
        for (part, method), row in rows.items():
            parts[part or 'ratios'].setdefault(at, {})[method] = row
    return parts
