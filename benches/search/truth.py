"""The ground truth of a data set, computed once and kept.

The folder of a data set holds its queries, the ids of a filter, and the queries' exact neighbours: in the data, in a copy
scaled to length one (for engines that know inner products only), and among the ids of the filter. A process that only
searches reads this folder and never the base, so that its private memory is that of its engine.
"""
import json

import numpy as np
from data import Data, unit_length
from recall import K

ALLOWED = 0.01


class Truth:
    """The kept truth of a data set: name, n, dim, is_ip, queries, allowed (ids)."""

    def __init__(self, folder, limit=0):
        self.folder = folder
        about = json.loads((folder / 'about.json').read_text())
        self.name, self.n, self.dim, self.is_ip = about['name'], about['n'], about['dim'], about['is_ip']
        self.queries = np.load(folder / 'queries.npy')
        if limit:
            self.queries = self.queries[:limit]
        self.allowed = np.load(folder / 'allowed.npy')

    def neighbours(self, kind):
        """int64 [nq][K]; kind is `all`, `unit` or `allowed`."""
        return np.load(self.folder / f'neighbours-{kind}.npy')[:len(self.queries)]


def made(source, limit, work):
    """The folder with the truth about the data set in `source`; made if it is missing."""
    data = Data(source, limit, train=1)
    folder = work / f'{data.name}-{data.n}'
    if (folder / 'about.json').exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / 'queries.npy', data.queries)
    np.save(folder / 'neighbours-all.npy', data.neighbours)
    if not data.is_ip:
        unit = data.scan(unit_length(data.base), unit_length(data.queries), is_ip=True)
        np.save(folder / 'neighbours-unit.npy', unit)
    drawn = np.random.default_rng(7).permutation(data.n)[:max(int(ALLOWED * data.n), K)]
    np.save(folder / 'allowed.npy', drawn.astype(np.uint64))
    np.save(folder / 'neighbours-allowed.npy', drawn[data.scan(data.base[drawn])])
    # Written last: a folder that has it is complete.
    about = dict(name=data.name, n=data.n, dim=data.dim, is_ip=data.is_ip)
    (folder / 'about.json').write_text(json.dumps(about))
    return folder
