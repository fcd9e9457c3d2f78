#!/usr/bin/env python3
"""Measures one method on one data set and prints one JSON object; run.py starts it, once for each method.

Speeds are medians of the rounds, in vectors a second on one thread. Training is timed once for a peer, and in each round
for libomen, whose rounds repeat everything: a new store, insert, compress. Errors and recall are those of the last round.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import time

import faiss
from data import SEED, Data
from distortion import relative_mse
from omen import QUALITY_BEST, QUALITY_NORMAL, Library, Store
from peers import peer
from recall import K, recall

ROUNDS_SECONDS = 30
QUALITIES = {'omen': QUALITY_NORMAL, 'omen-best': QUALITY_BEST}


def seconds_of(work):
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def rate(work, n, rounds):
    """Vectors a second, the median, and the last result; stops early when the rounds have taken long enough."""
    seconds = []
    while len(seconds) < rounds and sum(seconds) < ROUNDS_SECONDS:
        elapsed, result = seconds_of(work)
        seconds.append(elapsed)
    return n / statistics.median(seconds), result


def errors(data, decoded, held_out):
    """The errors and the recall of decoded vectors. `held_out`: the first queries, decoded."""
    return dict(relative_mse=relative_mse(data.base, decoded),
                relative_mse_held_out=relative_mse(data.queries[:len(held_out)], held_out),
                recall_decoded=recall(data.scan(decoded), data.neighbours))


def measured_peer(name, data, rounds):
    codec = peer(name, data)
    train_seconds, _ = seconds_of(lambda: codec.train(data.train))
    encode_rate, codes = rate(lambda: codec.encode(data.base), data.n, rounds)
    has_decode = not name.startswith('turbovec')
    decode_rate, decoded = rate(lambda: codec.decode(codes), data.n, rounds if has_decode else 1)
    row = dict(train_seconds=train_seconds, encode_per_second=encode_rate, total_bytes=codec.total_bytes(codes),
               code_bytes=codec.code_bytes(codes), trained_on=len(data.train))
    row['decode_per_second'] = decode_rate if has_decode else None
    row.update(errors(data, decoded, codec.decode(codec.encode(data.queries))))
    own = codec.found(codes, data)
    row['recall_own'] = recall(*own) if own else row['recall_decoded']
    return row


def compressed_store(data, ratio, settings, options):
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.parent.mkdir(parents=True, exist_ok=True)
    store = Store(Library(options.library), options.work, data.dim, data.is_ip)
    store.insert(data.base)
    return store, *store.compress(ratio, **settings)


def held_out_rows(store, report, data):
    """Queries, inserted after the compress of `report`, coded with its codebook and decoded.

    Compress codes new rows with the codebook that is there if they are not more than the old ones and the ratio allows
    it. The ratio is 1 here: then it does, even where a small store has no bytes to spare.
    """
    queries = data.queries[:data.n]
    store.insert(queries)
    again, _, _ = store.compress(1)
    same = (again.code_bytes, again.codebook_bytes) == (report.code_bytes, report.codebook_bytes)
    assert same, 'the new rows have another codebook'
    return store.get(data.n, len(queries))


def measured_omen(family, ratio, data, options):
    # The seed of the training is 0, its default, unless another draw of rows was asked for.
    settings = dict(quality=QUALITIES[family], seed=options.seed - SEED)
    trainings, encodings = [], []
    for turn in range(options.rounds):
        store, report, training, encoding = compressed_store(data, ratio, settings, options)
        trainings.append(training)
        encodings.append(encoding)
        if turn + 1 < options.rounds:
            store.close()
    decode_rate, decoded = rate(lambda: store.get(0, data.n), data.n, options.rounds)
    own = recall(store.search(data.queries, K), data.neighbours)
    held_out = held_out_rows(store, report, data)
    assert (store.get(0, data.n) == decoded).all(), 'the codes there were have changed'
    store.close()
    row = dict(train_seconds=statistics.median(trainings), encode_per_second=statistics.median(encodings),
               total_bytes=report.bytes_after / data.n, code_bytes=report.code_bytes, decode_per_second=decode_rate,
               codebook_bytes=report.codebook_bytes, reported_relative_mse=report.relative_mse, recall_own=own)
    row.update(errors(data, decoded, held_out))
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('method', help='`omen 16`, `omen-best 16`, or the name of a peer (peers.py)')
    parser.add_argument('--data', required=True)
    parser.add_argument('--library', type=pathlib.Path)
    parser.add_argument('--work', type=pathlib.Path)
    parser.add_argument('--limit', type=int, default=0)
    parser.add_argument('--train', type=int, default=50_000)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seed', type=int, default=SEED, help='of the draws of rows, and of the training of libomen')
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    data = Data(options.data, options.limit, options.train, options.seed)
    family, size = options.method.split()
    try:
        if family in QUALITIES:
            row = measured_omen(family, float(size), data, options)
        else:
            row = measured_peer(options.method, data, options.rounds)
    finally:
        if options.work:
            shutil.rmtree(options.work, ignore_errors=True)
    print(json.dumps(row))


if __name__ == '__main__':
    main()
