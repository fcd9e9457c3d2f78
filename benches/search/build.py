#!/usr/bin/env python3
"""Builds the index of one engine in a folder and prints the seconds as one JSON object; run.py starts it.

The process is not pinned: building is timed on the given number of threads. The seconds do not include reading the data,
nor, for peers, writing the file. For libomen they include durable inserts and compress; those of compress are also printed
separately.
"""
import argparse
import json
import pathlib
import time

from data import Data
from engines import LISTS_LARGE, LISTS_TRAINED_ON, engine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('method')
    parser.add_argument('--data', required=True)
    parser.add_argument('--limit', type=int, default=0)
    parser.add_argument('--path', type=pathlib.Path, required=True)
    parser.add_argument('--library', type=pathlib.Path)
    parser.add_argument('--threads', type=int, required=True)
    options = parser.parse_args()
    data = Data(options.data, options.limit, train=LISTS_TRAINED_ON * LISTS_LARGE)
    built = engine(options.method, data, options.path, options.library)
    begin = time.perf_counter()
    parts = built.build(data, options.threads) or {}
    seconds = time.perf_counter() - begin
    built.save()
    print(json.dumps(dict(build_seconds=seconds, threads=options.threads, **parts)))


if __name__ == '__main__':
    main()
