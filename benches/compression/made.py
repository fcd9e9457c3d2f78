"""Data sets that are made: independent normals, and turned copies of other sets. Each is kept in a folder of its own."""
import numpy as np
from data import Data

SEED = 1
NORMALS, NORMAL_QUERIES, NORMAL_DIM = 100_000, 1000, 128


def kept(folder, base, queries, about):
    """Writes a data set. The README is written last: a folder that has it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / 'base.npy', base)
    np.save(folder / 'query.npy', queries)
    (folder / 'README').write_text(about)


def normals(work):
    """The folder of rows without structure: independent standard normals, metric L2."""
    folder = work / 'normals'
    if not (folder / 'README').exists():
        rows = np.random.default_rng(SEED).standard_normal((NORMALS + NORMAL_QUERIES, NORMAL_DIM), dtype=np.float32)
        kept(folder, rows[:NORMALS], rows[NORMALS:], 'Independent standard normals. metric l2\n')
    return folder


def turned(source, work):
    """The folder of a copy of `source`, turned by a random rotation: the same distances, and no dim like those before."""
    folder = work / f'{source.resolve().name}-turned'
    if not (folder / 'README').exists():
        data = Data(source)
        square = np.random.default_rng(SEED).standard_normal((data.dim, data.dim))
        rotation = np.linalg.qr(square)[0].astype(np.float32)
        about = f'{data.name}, turned by a random rotation. metric {"ip" if data.is_ip else "l2"}\n'
        kept(folder, data.base @ rotation, data.queries @ rotation, about)
    return folder
