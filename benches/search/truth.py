"""The ground truth of a data set, computed once and kept.

The folder of a data set holds its queries and their exact neighbours: in the data, in a copy scaled to length one (for
engines that know inner products only), and among the rows that each filter lets through. A process that only searches reads
this folder and never the base, so that its private memory is that of its engine.
"""
import functools
import json

import filters
import numpy as np
from data import Data, unit_length
from recall import K

NEAR = 128  # more than K and the rows that a filter denies


class Truth:
    """The kept truth of a data set: name, n, dim, is_ip, queries."""

    def __init__(self, folder, limit=0):
        self.folder = folder
        about = json.loads((folder / 'about.json').read_text())
        self.name, self.n, self.dim, self.is_ip = about['name'], about['n'], about['dim'], about['is_ip']
        self.queries = np.load(folder / 'queries.npy')
        if limit:
            self.queries = self.queries[:limit]

    def neighbours(self, kind):
        """int64 [nq][K]; kind is `all`, `unit` or the name of a filter, which has only the first queries."""
        return np.load(file_of(self.folder, kind))[:len(self.queries)]

    @functools.cache
    def filters(self, name):
        """One filter for each of the first queries."""
        made = list(filters.made(name, self.n))
        return [made[number % len(made)] for number in range(min(filters.QUERIES, len(self.queries)))]


def file_of(folder, kind):
    return folder / f'neighbours-{kind.replace(" ", "-")}.npy'


def is_complete(folder):
    """The truth is remade if there are other filters than when it was made."""
    about = folder / 'about.json'
    return about.exists() and json.loads(about.read_text()).get('filters') == list(filters.FILTERS)


def made(source, limit, work):
    """The folder with the truth about the data set in `source`; made if it is missing."""
    data = Data(source, limit, train=1)
    folder = work / f'{data.name}-{data.n}'
    if is_complete(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / 'queries.npy', data.queries)
    near = data.scan(data.base, k=min(NEAR, data.n))
    np.save(file_of(folder, 'all'), near[:, :K])
    if not data.is_ip:
        unit = data.scan(unit_length(data.base), unit_length(data.queries), is_ip=True)
        np.save(file_of(folder, 'unit'), unit)
    # The ten vectors of `ten_vectors` have no filters.
    for name in filters.FILTERS if data.n > NEAR else ():
        np.save(file_of(folder, name), filters.neighbours(name, data, near))
    # Written last: a folder that has it is complete.
    about = dict(name=data.name, n=data.n, dim=data.dim, is_ip=data.is_ip, filters=filters.FILTERS)
    (folder / 'about.json').write_text(json.dumps(about))
    return folder
