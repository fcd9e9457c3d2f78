"""libomen for Mojo 1.2: a vector store in a directory. There is one method for each function of include/omen.h. Buffers are
passed without a copy, and errors are raised with the name of their status and a detailed message.

    var store = omen.open("vectors.omen", dim=128)
    var first = store.insert(vectors)
    store.get(ids, back)
"""
from .header import *
from .library import Library, Linked, Loaded
from .store import Progress, Store, open, store_options, version
