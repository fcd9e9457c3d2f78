#!/usr/bin/env python3
"""Compares search by libomen with FAISS, hnswlib, usearch, turbovec, zvec and sqlite-vec: measures, records, prints, draws.

Each engine searches in its own process (worker.py), pinned to one core, one thread. Engines take turns: a slice of the
first, a slice of the second, and a slice of FAISS's flat scan, round after round, every other round in reverse. While one
engine has its turn, the others wait in a read. With separate processes private memory can be measured, allocators and thread
pools do not mix, and a crash ends one engine only. A ratio is formed within one round, because other load on the machine then
affects both sides.

Indexes, exact neighbours and the synthetic data are made once and kept in --work. An index is built anew for another
version of its library. Each result is appended to the day's records at once and replaces an earlier one of the same name.
`--table` prints and draws the day's records and measures nothing.
"""
import argparse
import contextlib
import datetime
import functools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np
import report
import synthetic
import truth
from bars import BATCH, COMPRESS_SECONDS, FILTER_RATIOS, FILTERED_DATA, MIB, MILLION, ONE, OPEN_MS, PAIRED, PRIVATE_BYTES
from engines import FLAT, GRAPHS, LARGE, family, filter_peers, peer_settings, peers, version
from filtered import Filtered
from machine import LIBRARY, ROOT, data_folders, machine, started, vector_unit
from recall import K
from records import append, newest, records_folder, relative

HERE = pathlib.Path(__file__).resolve().parent
SYNTHETIC = pathlib.Path('synthetic')
OPENINGS = 5
ROUNDS_LEAST = 5
CALLS_LEAST = {ONE: 5, BATCH: 1}
CALLS_COUNT = 20_000
# One engine of each binding; the other engines of FAISS and libomen are called in the same way.
CALLED = (FLAT, 'hnswlib 16', 'usearch f32', 'turbovec 2', 'zvec hnsw', 'omen raw')
SMALL = 'omen 16'
QUICK = dict(limit=10_000, queries=50, batch=50, rounds=2, seconds=0.05, efforts='0', reranks='0')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', action='append', type=pathlib.Path, default=[],
                        help='a directory with base, query and README, or `synthetic`; may be repeated. By default those '
                             'of OMEN_BENCH_DATA (separated by colons), else sift100k and minilm50k, else '
                             'tests/data/sift10k; and synthetic')
    parser.add_argument('--synthetic', type=int, default=1_000_000, help='vectors of the synthetic data')
    parser.add_argument('--engines', default='omen,peers')
    parser.add_argument('--only', default='', help='only methods whose name begins with one of these, as `omen 16,hnsw`')
    parser.add_argument('--parts', default='calls,open,figures,bars,filters', help='which of these')
    parser.add_argument('--ratios', default='raw,4,8,16', help='of libomen')
    parser.add_argument('--efforts', default='0,0.01,0.02,0.05,0.1,0.2,0.5,1', help='of libomen; 0 = it chooses')
    parser.add_argument('--reranks', default='0', help='of libomen; 0 = it chooses')
    parser.add_argument('--rounds', type=int, default=9, help='turns of a pair')
    parser.add_argument('--seconds', type=float, default=0.3, help='of a slice, and of one batch at least')
    parser.add_argument('--time-limit', type=float, default=60, help=f'seconds of a pair, after {ROUNDS_LEAST} rounds')
    parser.add_argument('--queries', type=int, default=0, help='0 = all')
    parser.add_argument('--batch', type=int, default=1000, help='queries of a batch')
    parser.add_argument('--limit', type=int, default=0, help='vectors of the base to use, drawn at random; 0 = all')
    parser.add_argument('--large-graphs', action='store_true',
                        help=f'graphs of more than {LARGE:,} vectors too: they take many minutes to build')
    parser.add_argument('--build-threads', type=int, default=os.cpu_count())
    parser.add_argument('--core', default='1', help='the core all searching is pinned to')
    parser.add_argument('--work', default=ROOT / 'target/search', type=pathlib.Path)
    parser.add_argument('--library', default=LIBRARY, type=pathlib.Path)
    parser.add_argument('--record', action='store_true',
                        help='records and plot in benches/record/<machine>, not in --work')
    parser.add_argument('--table', action='store_true', help='measure nothing: print and draw what is recorded')
    parser.add_argument('--quick', action='store_true',
                        help='few vectors, queries and rounds, for checks of the benchmark; no synthetic data by default')
    parser.add_argument('--date', default=str(datetime.date.today()), help='the day of the records')
    options = parser.parse_args()
    for name, value in QUICK.items() if options.quick else ():
        setattr(options, name, value)
    return options


class Lost(Exception):
    """A process of an engine ended by itself; the text is its last line of output."""


class Worker:
    """worker.py with one engine, which has opened its index and given its first answer."""

    def __init__(self, options, method, folder, index, setting, is_cold=False):
        self.log = index / 'log.txt'
        words = ['--folder', folder, '--path', index / 'files', '--setting', setting, '--library', options.library,
                 '--queries', options.queries, '--batch', options.batch, *(['--cold'] if is_cold else [])]
        with open(self.log, 'w') as log:
            self.process = started(HERE / 'worker.py', method, *words, core=options.core, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=log)
        self.open_ms = self.answer()['open_ms']

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Lost(f'exit {self.process.wait()}: {last_line(self.log.read_text())}')
        return json.loads(line)

    def ask(self, **command):
        with contextlib.suppress(BrokenPipeError):  # answer() reports the reason
            print(json.dumps(command), file=self.process.stdin, flush=True)
        return self.answer()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def last_line(text):
    return (text.strip().splitlines() or [''])[-1][:120]


class Bench:
    """One data set: its truth, its indexes, and the engines that search it."""

    def __init__(self, options, source, path):
        self.options, self.source, self.records = options, source, path
        self.folder = truth.made(source, options.limit, options.work)
        self.truth = truth.Truth(self.folder, options.queries)
        self.workers, self.found, self.built = {}, {}, {}
        model, cores, kernel = machine()
        self.about = dict(data=self.truth.name, n=self.truth.n, dim=self.truth.dim, machine=model, cores=cores,
                          metric='ip' if self.truth.is_ip else 'l2', kernel=kernel, unit=vector_unit(),
                          queries=len(self.truth.queries), batch_queries=options.batch)

    def record(self, kind, name, setting='', **figures):
        append(self.records, dict(kind=kind, name=name, setting=setting, **self.about, load=round(os.getloadavg()[0], 2),
                                  **figures))

    def say(self, text):
        print(f'{self.truth.name}: {text}', file=sys.stderr, flush=True)

    def settings(self, method):
        if method == 'omen raw':
            return ['exact 1']
        if family(method) != 'omen':
            return peer_settings(method, self.truth.n)
        numbers = lambda text: [float(number) for number in text.split(',')]
        named = lambda name, value: f'{name} {value:g}' if value else ''
        return [f'{named("effort", effort)} {named("rerank", rerank)}'.strip()
                for effort in numbers(self.options.efforts) for rerank in numbers(self.options.reranks)]

    # ---- indexes and processes

    def index(self, method):
        return self.folder / 'index' / method.replace(' ', '-')

    def build(self, method):
        """Builds the index unless one of this version exists; returns its bytes and the seconds that building took."""
        index = self.index(method)
        kept, of = index / 'built.json', version(method, self.options.library)
        if kept.exists() and (built := json.loads(kept.read_text()))['version'] == of:
            return built
        shutil.rmtree(index, ignore_errors=True)
        (index / 'files').mkdir(parents=True)
        self.say(f'builds {method}')
        process = started(HERE / 'build.py', method, '--data', self.source, '--limit', self.options.limit, '--path',
                          index / 'files', '--library', self.options.library, '--threads', self.options.build_threads,
                          threads=self.options.build_threads, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        printed, errors = process.communicate()
        if process.returncode != 0:
            raise Lost(f'not built: {last_line(errors)}')
        built = dict(version=of, **json.loads(printed.splitlines()[-1]))
        built['bytes'] = sum(file.stat().st_size for file in (index / 'files').rglob('*') if file.is_file())
        kept.write_text(json.dumps(built))
        return built

    def opened(self, method, is_cold=False):
        return Worker(self.options, method, self.folder, self.index(method), self.settings(method)[0], is_cold)

    def worker(self, method):
        if method not in self.workers:
            self.workers[method] = self.opened(method)
        return self.workers[method]

    def build_all(self, methods):
        for method in methods:
            try:
                self.built[method] = self.build(method)
            except Lost as lost:
                self.lost(method, lost)

    def lost(self, method, why):
        self.say(f'{method}: {why}')
        self.record('figures', method, failed=str(why))
        self.built.pop(method, None)

    # ---- turns

    def turns(self, members, mode):
        """Queries a second of each member, a (method, setting): one list for each round."""
        rounds, begin = [], time.monotonic()
        while len(rounds) < self.options.rounds:
            if time.monotonic() - begin > self.options.time_limit and len(rounds) >= ROUNDS_LEAST:
                break
            order = members if len(rounds) % 2 == 0 else members[::-1]
            row = [self.slice(method, setting, mode) for method, setting in order]
            rounds.append(row if order is members else row[::-1])
        return rounds

    def slice(self, method, setting, mode):
        """Queries a second in one slice of about options.seconds."""
        count = int(self.options.seconds / self.find(method, setting)[f'{mode}_seconds'])
        return self.worker(method).ask(do=mode, setting=setting, count=max(count, CALLS_LEAST[mode]))['qps']

    def beside_flat(self, method, setting, mode):
        """The median QPS, and for each round the ratio to the flat scan."""
        rounds = self.turns([(method, setting), (FLAT, '')], mode)
        return statistics.median(qps for qps, _ in rounds), [qps / flat for qps, flat in rounds]

    # ---- the parts

    def calls(self):
        """Microseconds of a call with almost no search in it: Python, the binding, and the engine's preparation."""
        for method in list(self.built):
            setting = self.settings(method)[0]
            qps = statistics.median(self.worker(method).ask(do=ONE, setting=setting, count=CALLS_COUNT)['qps']
                                    for _ in range(self.options.rounds))
            self.record('call', method, microseconds=1e6 / qps)

    def open(self):
        """Time from opening to the first answer in fresh processes, in turns, with pages cached and with pages dropped."""
        self.close()  # pages that another process has mapped cannot be dropped
        found = {method: ([], []) for method in self.built}
        for _ in range(min(self.options.rounds, OPENINGS)):
            for method in list(self.built):
                for is_cold in (False, True):
                    try:
                        worker = self.opened(method, is_cold)
                    except Lost as lost:
                        self.lost(method, lost)
                        break
                    found[method][is_cold].append(worker.open_ms)
                    worker.close()
        for method in self.built:
            warm, cold = found[method]
            self.record('open', method, warm_ms=warm, cold_ms=cold)
            self.say(f'opened {method}')

    def figures(self):
        for method in list(self.built):
            try:
                for setting in self.settings(method):
                    self.figure(method, setting)
            except Lost as lost:
                self.lost(method, lost)

    def find(self, method, setting):
        if (method, setting) not in self.found:
            self.found[method, setting] = self.worker(method).ask(do='find', setting=setting)
        return self.found[method, setting]

    def figure(self, method, setting):
        found = self.find(method, setting)
        one, one_flat = self.beside_flat(method, setting, ONE)
        batch, batch_flat = self.beside_flat(method, setting, BATCH) if found['batch_seconds'] else (None, None)
        built = self.built[method]
        self.record('figures', method, setting, recall=found['recall'], recall_batch=found['recall_batch'], one=one,
                    one_flat=one_flat, batch=batch, batch_flat=batch_flat, rounds=len(one_flat),
                    private_bytes=found['private_bytes'], total_bytes=built['bytes'] / self.truth.n,
                    build_seconds=built['build_seconds'], build_threads=built['threads'])
        self.say(f'{method} {setting}: recall {found["recall"]:.4f}, {one:.0f} queries a second')

    # ---- bars

    def bar(self, name, values, kind, wanted, **more):
        self.record('bar', name, values=values, wanted_kind=kind, wanted=wanted, **more)
        self.say(f'bar {name}: {statistics.median(values):.4g}, wanted {kind} {wanted:g}')

    def bars(self):
        self.attempt([*(functools.partial(self.paired, bar) for bar in PAIRED), self.own])

    def filters(self):
        self.attempt(Filtered(self).measures())

    def attempt(self, measures):
        for measure in measures:
            try:
                measure()
            except Lost as lost:
                self.say(f'a bar was not measured: {lost}')

    def paired(self, bar):
        """Measures in turns with the peers: the fastest setting that reaches the recall, else the one with most recall."""
        if bar.data != self.truth.name or not {bar.method, *(peer for peer, _ in bar.peers)} <= set(self.built):
            return
        found = {setting: self.find(bar.method, setting) for setting in self.settings(bar.method)}
        recalls = {setting: row['recall' if bar.mode == ONE else 'recall_batch'] for setting, row in found.items()}
        wanted = bar.recall * (recalls[bar.of] if bar.of else 1)
        reaching = [setting for setting in found if recalls[setting] >= wanted]
        cost = lambda setting: found[setting][f'{bar.mode}_seconds']
        setting = min(reaching, key=cost) if reaching else max(found, key=recalls.get)
        rounds = self.turns([(bar.method, setting), *bar.peers, (FLAT, '')], bar.mode)
        called = ' or '.join(f'{peer} {of}'.strip() for peer, of in bar.peers)
        how = 'one query a call' if bar.mode == ONE else 'batches'
        at = f'{bar.recall:g} x that of {bar.of}' if bar.of else f'{bar.recall:g}'
        self.bar(f'{bar.method}, {how}, recall {at}: x {called}', [row[0] / max(row[1:-1]) for row in rounds], 'at least',
                 bar.least, used=setting or 'default', recall=recalls[setting], recall_wanted=wanted,
                 flat=statistics.median(row[0] / row[-1] for row in rounds))

    def own(self):
        if SMALL not in self.built:
            return
        self.bar(f'{SMALL}, private MiB of a searching process', [self.find(SMALL, '')['private_bytes'] / MIB], 'at most',
                 (PRIVATE_BYTES + self.truth.n) / MIB)
        if self.truth.name == MILLION and not self.options.limit:
            self.bar(f'{SMALL}, seconds of compress, {self.built[SMALL]["threads"]} threads',
                     [self.built[SMALL]['compress_seconds']], 'at most', COMPRESS_SECONDS)
            opened = newest([self.records], 'kind', 'name')[self.truth.name, self.truth.n].get(('open', SMALL))
            if opened:
                self.bar(f'{SMALL}, open to first answer, pages cached, ms', opened['warm_ms'], 'at most', OPEN_MS)

    def close(self):
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()


def ten_vectors(folder):
    """Writes a data set of k vectors: a search of it takes hardly more time than the call itself."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    np.save(folder / 'base.npy', random.standard_normal((K, synthetic.DIM)).astype(np.float32))
    np.save(folder / 'query.npy', random.standard_normal((synthetic.QUERIES, synthetic.DIM)).astype(np.float32))
    return folder


def selected(options, of, n):
    """The methods that the options select for `n` vectors: of libomen, and of the peers in `of`."""
    engines, wanted = options.engines.split(','), [part for part in options.only.split(',') if part]
    found = [f'omen {ratio}' for ratio in options.ratios.split(',')] if 'omen' in engines else []
    if 'peers' in engines:
        found += [peer for peer in of if n <= LARGE or options.large_graphs or family(peer) not in GRAPHS]
    return [name for name in found if not wanted or name.startswith(tuple(wanted))]


def data_sets(options):
    if options.data:
        given = options.data
    else:
        given = data_folders([]) + ([] if options.quick else [SYNTHETIC])
    for folder in given:
        if folder == SYNTHETIC:
            millions = f'{options.synthetic / 1e6:g}m'
            folder = synthetic.made(options.work / 'data' / f'synthetic{millions}', options.synthetic)
        yield folder


def run(options, source, path, parts, of=None):
    """Measures the parts on one data set; with `of` only these methods."""
    bench = Bench(options, source, path)
    n, dim = bench.truth.n, bench.truth.dim
    try:
        if others := [part for part in parts if part != 'filters']:
            # All are compared with the flat scan.
            methods = dict.fromkeys([FLAT, *selected(options, peers(dim, n), n)])
            bench.build_all([method for method in methods if of is None or method in of])
            for part in others:
                getattr(bench, part)()
        if 'filters' in parts and bench.truth.name in FILTERED_DATA:
            methods = [method for method in selected(options, filter_peers(n), n)
                       if family(method) != 'omen' or method in FILTER_RATIOS]
            bench.build_all([method for method in methods if method not in bench.built])
            bench.filters()
    finally:
        bench.close()


def main():
    options = arguments()
    folder = records_folder(options.record, options.work)
    path = folder / f'search-{options.date}.jsonl'
    parts = options.parts.split(',')
    if not options.table:
        if 'calls' in parts:
            run(options, ten_vectors(options.work / 'data/ten'), path, ['calls'], CALLED)
        for source in data_sets(options):
            run(options, source, path, [part for part in parts if part != 'calls'])
    rows = newest([path], 'kind', 'name', 'setting')
    print(report.tables(rows, options.date))
    plot = folder / 'search.png'
    report.draw(rows, options.date, plot)
    print(f'records: {relative(path)}, plot beside it: {plot.name}')


if __name__ == '__main__':
    main()
