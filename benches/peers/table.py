#!/usr/bin/env python3
"""Runs libomen, a raw file, LMDB and SQLite side by side and prints one report.

The engines take turns: one round runs every engine once, each in its own process. A ratio is formed within one round,
because other load on the machine then affects both sides. Figures are medians over the rounds. The raw file runs twice in
each round: the ratio of the two is the noise (A/A). A bar within the middle half of its rounds is called unclear, on
whichever side the median lies. Another process opens every store again, reads each vector and compares it bit for bit,
before its figures count. Needs only Python and `peers`.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGAIN = 'raw again'
RAW_LIMITS = 'the raw file has no ids and no checksums'

# name, vectors, vectors a call, vectors a commit (0: one commit at the end)
INSERTS = [
    ('calls of 1,000, one commit', 100_000, 1000, 0),
    ('calls of 1, one commit', 100_000, 1, 0),
    ('calls of 1,000, a commit each', 100_000, 1000, 1000),
    ('calls of 1, a commit each', 2_000, 1, 1),
]
CURVE = [10_000, 100_000, 1_000_000]
GETS = 200_000
RANDOM_IDS = [10_000, 1_000_000]
MILLION = 1_000_000
MIB = 1 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--peers', default=ROOT / 'target/peers', type=pathlib.Path)
    parser.add_argument('--base', type=pathlib.Path, help='a .bvecs file; by default sift100k, else tests/data/sift10k')
    parser.add_argument('--work', default=ROOT / 'target/peers-work', type=pathlib.Path, help='where stores are made')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--core', default='1', help='the core everything is pinned to')
    parser.add_argument('--only', default='', help=f'parts to run, of: {",".join(RUNS)}')
    parser.add_argument('--engines', default='raw,raw_early,omen,lmdb,sqlite')
    parser.add_argument('--record', action='store_true', help='add the figures to benches/record/<machine>/<date>.tsv')
    return parser.parse_args()


def median(values):
    return statistics.median(values) if values else float('nan')


class Bench:
    """Starts `peers` and keeps every figure as (part, row, engine, measure) -> one value a round."""

    def __init__(self, options):
        self.options = options
        self.figures = {}
        self.facts = {}
        given = ROOT.parent / 'shared/data/sift100k/base.bvecs'
        self.base = options.base or (given if given.exists() else ROOT / 'tests/data/sift10k/base.bvecs')
        self.base_n = self.base.stat().st_size // (4 + self.dim())
        self.pin = ['taskset', '-c', options.core] if shutil.which('taskset') else []
        built = {'lmdb': b'mdb_env_open', 'sqlite': b'sqlite3_open'}
        program = options.peers.read_bytes()
        self.engines = [e for e in options.engines.split(',') if e not in built or built[e] in program]
        self.parts = options.only.split(',') if options.only else list(RUNS)

    def dim(self):
        with open(self.base, 'rb') as file:
            return int.from_bytes(file.read(4), 'little')

    def peers(self, engine, command, directory, is_pinned=True, **keys):
        engine = 'raw' if engine == AGAIN else engine
        pin = self.pin if is_pinned else []
        call = [*pin, str(self.options.peers), engine, command, f'dir={directory}', f'base={self.base}']
        done = subprocess.run(call + [f'{k}={int(v)}' for k, v in keys.items()], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f'{" ".join(done.args)}: exit {done.returncode}\n{done.stderr}')
        return json.loads(done.stdout)

    def fresh(self, name):
        directory = self.options.work / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        return directory

    def add(self, part, row, engine, **values):
        for measure, value in values.items():
            self.figures.setdefault((part, row, engine, measure), []).append(value)

    def get(self, part, row, engine, measure):
        return median(self.values(part, row, engine, measure))

    def values(self, part, row, engine, measure):
        return self.figures.get((part, row, engine, measure), [])

    def ratios(self, part, row, engine, measure, to='raw'):
        """The ratio of each round."""
        pairs = zip(self.values(part, row, engine, measure), self.values(part, row, to, measure))
        return [a / b for a, b in pairs if b]

    def ratio(self, *what, **to):
        return median(self.ratios(*what, **to))

    def rounds(self, engines):
        """Every engine in turn, round after round, with whether to keep the figures: the first round only warms up."""
        for turn in range(self.options.rounds + 1):
            for engine in engines:
                yield turn > 0, engine


def measured_insert(bench, engine, n, call, commit_every, gets):
    """Fills a fresh store; another process then verifies it and times gets. Returns the figures of this run."""
    directory = bench.fresh('store')
    put = bench.peers(engine, 'insert', directory, n=n, call=call, commit_every=commit_every)
    got = bench.peers(engine, 'get', directory, n=n, gets=gets)
    raw = n * put['dim'] * 4
    figures = dict(
        vec_per_s=n / put['seconds'], vec_per_s_with_close=n / (put['seconds'] + put['close_seconds']),
        close_ms=put['close_seconds'] * 1e3, syncs=put['syncs'], close_syncs=put['close_syncs'],
        apparent=put['apparent'] / raw, allocated=put['allocated'] / raw, open_us=got['open_first_get_us'])
    if gets:
        figures.update(get_ns=got['get_ns'], get_p50_ns=got['get_p50_ns'], get_p99_ns=got['get_p99_ns'])
    return figures


def run_inserts(bench):
    for row, n, call, commit_every in INSERTS:
        for kept, engine in bench.rounds([*bench.engines, AGAIN]):
            gets = GETS if row == INSERTS[0][0] else 0
            figures = measured_insert(bench, engine, n, call, commit_every, gets)
            if kept:
                bench.add('insert', row, engine, **figures)


def of_curve(bench):
    return [e for e in bench.engines if e.startswith('raw') or e == 'omen']


def run_curve(bench):
    for n in CURVE:
        for kept, engine in bench.rounds(of_curve(bench)):
            figures = measured_insert(bench, engine, n, 1000, 0, 0)
            if kept:
                bench.add('curve', f'{n:,}', engine, **figures)


def with_ids(bench):
    return [e for e in bench.engines if not e.startswith('raw')]


def run_random(bench):
    """Random u64 ids: private memory during inserts, then open to first get, with pages cached and with pages dropped."""
    engines = with_ids(bench)
    for n in RANDOM_IDS:
        for engine in engines:
            directory = bench.fresh(f'{engine}-{n}')
            put = bench.peers(engine, 'insert', directory, n=n, random_ids=1, commit_every=100_000, memory=1)
            got = bench.peers(engine, 'get', directory, n=n, random_ids=1, gets=GETS)
            raw = n * put['dim'] * 4
            bench.add('random', f'{n:,}', engine, private_mib=put['private_growth'] / MIB, get_ns=got['get_ns'],
                      apparent=put['apparent'] / raw, allocated=put['allocated'] / raw)
    for n in RANDOM_IDS:
        for cold in (0, 1):
            for kept, engine in bench.rounds(engines):
                got = bench.peers(engine, 'get', bench.options.work / f'{engine}-{n}', n=n, random_ids=1, verify=0,
                                  cold=cold)
                if kept:
                    name = 'open_cold_us' if cold else 'open_us'
                    bench.add('random', f'{n:,}', engine, **{name: got['open_first_get_us']})


def run_small(bench):
    """A closed store of one vector; and private memory while 1M vectors are inserted with one commit."""
    for engine in bench.engines:
        directory = bench.fresh('store')
        put = bench.peers(engine, 'insert', directory, n=1, call=1)
        bench.peers(engine, 'get', directory, n=1)
        bench.add('small', '1 vector', engine, apparent=put['apparent'], allocated=put['allocated'], files=put['files'])
        directory = bench.fresh('store')
        put = bench.peers(engine, 'insert', directory, n=1_000_000, memory=1)
        bench.peers(engine, 'get', directory, n=1_000_000)
        bench.add('small', '1,000,000 vectors', engine, private_mib=put['private_growth'] / MIB)


def run_compress(bench):
    for _ in range(min(5, bench.options.rounds)):
        directory = bench.fresh('store')
        bench.peers('omen', 'insert', directory, n=bench.base_n)
        done = bench.peers('omen', 'compress', directory, n=bench.base_n, gets=GETS)
        bench.add('compress', 'ratio 16', 'omen', **done)


def run_million(bench):
    """Runs once: a bar of a minute needs no rounds."""
    directory = bench.fresh('store')
    bench.peers('omen', 'insert', directory, n=MILLION, distinct=1)
    done = bench.peers('omen', 'compress', directory, is_pinned=False, n=MILLION, distinct=1, threads=2, memory=1)
    bench.add('million', 'ratio 16', 'omen', **done)


def columns(titles, rows):
    """A Markdown table whose source lines up."""
    cells = [titles, *[[str(cell) for cell in row] for row in rows]]
    wide = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    line = lambda row: '| ' + ' | '.join(cell.ljust(wide[i]) for i, cell in enumerate(row)) + ' |'
    print('\n'.join([line(cells[0]), '|' + '|'.join('-' * (w + 2) for w in wide) + '|', *map(line, cells[1:]), '']))


def figure(value, digits=3):
    if value != value:
        return '-'
    if value >= 10_000:
        return f'{value:,.0f}'
    return f'{value:.{digits}g}' if value < 100 else f'{value:.0f}'


def print_inserts(bench):
    print(f'Insert, vectors a second, from open to the last commit ({RAW_LIMITS}); x = median of the ratios to raw\n')
    others = [e for e in bench.engines if e != 'raw']
    rows = []
    for row, n, _, _ in INSERTS:
        cells = [row, f'{n:,}', figure(bench.get('insert', row, 'raw', 'vec_per_s'))]
        for engine in others:
            cells.append(f"{figure(bench.get('insert', row, engine, 'vec_per_s'))}"
                         f" ({bench.ratio('insert', row, engine, 'vec_per_s'):.2f}x)")
        rows.append([*cells, f"{bench.ratio('insert', row, AGAIN, 'vec_per_s'):.2f}x"])
    columns(['insert', 'n', 'raw', *others, 'A/A'], rows)

    print('The same runs: syncs up to the last commit + in close; the time of close; directory / raw bytes\n')
    rows = []
    for row, *_ in INSERTS:
        for engine in bench.engines:
            value = lambda measure: bench.get('insert', row, engine, measure)
            rows.append([row, engine, f"{value('syncs'):,.0f} + {value('close_syncs'):.0f}", f"{value('close_ms'):.2f}",
                         f"{bench.ratio('insert', row, engine, 'vec_per_s_with_close'):.2f}x",
                         f"{value('apparent'):.4f}", f"{value('allocated'):.4f}"])
    columns(['insert', 'engine', 'syncs', 'close ms', 'x raw with close', 'apparent', 'allocated'], rows)


def print_reads(bench):
    row = INSERTS[0][0]
    print(f'Random get of one vector, copied out; n = {INSERTS[0][1]:,}, ids 0..n-1, pages cached; p50 and p99 include the '
          'time of reading the clock\n')
    value = lambda engine, measure: figure(bench.get('insert', row, engine, measure))
    columns(['engine', 'mean ns', 'p50 ns', 'p99 ns', 'open to first get us'],
            [[e, value(e, 'get_ns'), value(e, 'get_p50_ns'), value(e, 'get_p99_ns'), value(e, 'open_us')]
             for e in bench.engines])


def print_curve(bench):
    print('Insert as the store grows: calls of 1,000, one commit, vectors a second\n')
    rows = []
    for n in CURVE:
        name = f'{n:,}'
        rows.append([name, *[figure(bench.get('curve', name, engine, 'vec_per_s')) for engine in of_curve(bench)],
                     f"{bench.ratio('curve', name, 'omen', 'vec_per_s'):.2f}x",
                     f"{bench.ratio('curve', name, 'omen', 'vec_per_s', to='raw_early'):.2f}x"])
    columns(['n', *of_curve(bench), 'omen x raw', 'omen x raw_early'], rows)


def print_random(bench):
    print('Random u64 ids; the closed store is opened by another process\n')
    rows = []
    for n in RANDOM_IDS:
        for engine in with_ids(bench):
            value = lambda measure: bench.get('random', f'{n:,}', engine, measure)
            rows.append([f'{n:,}', engine, figure(value('open_us')), figure(value('open_cold_us')),
                         figure(value('get_ns')), f"{value('private_mib'):.1f}", f"{value('apparent'):.4f}"])
    columns(['n', 'engine', 'open to first get us', 'pages dropped us', 'get mean ns', 'private MiB at insert',
             'directory / raw'], rows)


def print_small(bench):
    print('Bytes of a closed store of one vector; private memory (RssAnon) while 1M vectors are inserted, ids 0..n-1\n')
    rows = []
    for engine in bench.engines:
        value = lambda measure: bench.get('small', '1 vector', engine, measure)
        rows.append([engine, f"{value('files'):.0f}", f"{value('apparent'):,.0f}", f"{value('allocated'):,.0f}",
                     f"{bench.get('small', '1,000,000 vectors', engine, 'private_mib'):.1f}"])
    columns(['engine', 'files', 'apparent', 'allocated', 'private MiB'], rows)


def print_compress(bench):
    value = lambda measure: bench.get('compress', 'ratio 16', 'omen', measure)
    print(f'compress to 1/16, n = {bench.base_n:,}, one core; measured by reading every vector after reopen\n')
    columns(['', 'reported', 'measured'], [
        ['directory / raw', f"{1 / value('reported_ratio'):.6f}",
         f"{value('apparent_over_raw'):.6f} apparent, {value('allocated_over_raw'):.6f} allocated"],
        ['relative MSE', f"{value('reported_relative_mse'):.6f}", f"{value('relative_mse'):.6f}"],
        ['worst relative error', f"{value('reported_worst'):.4f}", f"{value('worst'):.4f}"],
        ['bytes a code, codebook', f"{value('code_bytes'):.0f}, {value('codebook_bytes'):,.0f}", ''],
        ['seconds', '', f"{value('seconds'):.2f}"],
        ['encode, write and check, vec/s', '', figure(value('encode_per_second'))],
        ['get in calls of 1,000, vec/s', '', figure(value('decoded_per_second'))],
        ['random get, mean ns', '', figure(value('get_ns'))],
    ])


def print_million(bench):
    value = lambda measure: bench.get('million', 'ratio 16', 'omen', measure)
    print(f'compress to 1/16, n = {MILLION:,}, two threads, not pinned, one run; vectors repeated, each number moved '
          'by one at most, so that no two are the same; private memory (RssAnon) read each 10 ms, less that before '
          'open\n')
    columns(['seconds', 'encode, write and check, vec/s', 'private MiB', 'directory / raw', 'relative MSE'], [
        [figure(value('reported_seconds')), figure(value('encode_per_second')), f"{value('private_growth') / MIB:.1f}",
         f"{value('apparent_over_raw'):.6f}", f"{value('relative_mse'):.6f}"]])


def middle_half(values):
    """The first and the third quartile of the rounds; the value twice if there is only one."""
    if len(values) < 2:
        return values[0], values[0]
    quartiles = statistics.quantiles(values, n=4, method='inclusive')
    return quartiles[0], quartiles[2]


def bars(bench):
    """(what, one value a round, 'at least' or 'at most', bar) of every promise in the parts that ran."""
    omen = lambda part, row, measure: bench.values(part, row, 'omen', measure)
    first = INSERTS[0][0]
    if 'insert' in bench.parts:
        for (row, *_), bar in zip(INSERTS, [0.80, 0.60, 0.75, 0.80]):
            yield f'insert, {row}, x raw', bench.ratios('insert', row, 'omen', 'vec_per_s'), 'at least', bar
        yield 'random get, cached, ns', omen('insert', first, 'get_ns'), 'at most', 250
        for measure in ('apparent', 'allocated'):
            yield f'directory / raw, closed, {measure}', omen('insert', first, measure), 'at most', 1.002
    if 'curve' in bench.parts:
        rates = [bench.get('curve', f'{n:,}', 'omen', 'vec_per_s') for n in CURVE]
        falls = [few / many for i, few in enumerate(rates) for many in rates[i + 1:]]
        yield 'insert rate, largest fall from 10K to 100K to 1M', [max(falls)], 'at most', 2
    if 'random' in bench.parts:
        few, many = (omen('random', f'{n:,}', 'open_us') for n in RANDOM_IDS)
        yield 'open to first get, 1M random ids, us', many, 'at most', 1000
        yield 'the same over that of 10K', [median(many) / median(few)], 'at most', 2
        yield 'private MiB, 1M random ids', omen('random', f'{RANDOM_IDS[1]:,}', 'private_mib'), 'at most', 64
    if 'small' in bench.parts:
        for measure in ('apparent', 'allocated'):
            yield f'one vector, closed, {measure} bytes', omen('small', '1 vector', measure), 'at most', 65535
        yield 'private MiB, 1M vectors', omen('small', '1,000,000 vectors', 'private_mib'), 'at most', 64
    if 'compress' in bench.parts:
        value = lambda measure: omen('compress', 'ratio 16', measure)
        for measure in ('apparent', 'allocated'):
            yield f'compressed directory / raw, {measure}', value(f'{measure}_over_raw'), 'at most', 0.0625
        yield 'relative MSE at 1/16', value('relative_mse'), 'at most', 0.0165
        pairs = zip(value('reported_relative_mse'), value('relative_mse'))
        off = [abs(reported / measured - 1) for reported, measured in pairs]
        yield 'relative MSE, report against measurement', off, 'at most', 0.01
        yield 'encode, write and check, vec/s', value('encode_per_second'), 'at least', 50_000
        yield 'get of codes in calls of 1,000, vec/s', value('decoded_per_second'), 'at least', 1_500_000
    if 'million' in bench.parts:
        value = lambda measure: omen('million', 'ratio 16', measure)
        yield 'compress of 1M, two threads, s', value('reported_seconds'), 'at most', 60
        yield 'private MiB, compress of 1M', [bytes / MIB for bytes in value('private_growth')], 'at most', 256


def verdict(values, kind, bar):
    low, high = middle_half(values)
    if low < bar < high:
        return 'unclear'
    holds = median(values) >= bar if kind == 'at least' else median(values) <= bar
    return 'holds' if holds else 'MISSED'


def print_bars(bench):
    rows = []
    for what, values, kind, bar in bars(bench):
        low, high = middle_half(values)
        rows.append([what, figure(median(values), 6), f'{figure(low, 4)} .. {figure(high, 4)}', f'{kind} {bar:,}',
                     verdict(values, kind, bar)])
    columns(['bar', 'median', 'middle half of the rounds', 'wanted', ''], rows)


def machine(work):
    with open('/proc/cpuinfo') as file:
        models = [line.split(':', 1)[1].strip() for line in file if line.startswith('model name')]
    with open('/proc/mounts') as file:
        mounts = [line.split()[1:3] for line in file]
    home = max((m for m in mounts if work.resolve().is_relative_to(m[0])), key=lambda m: len(m[0]))
    return models[0] if models else os.uname().machine, len(models), os.uname().release, home[1]


def print_heading(bench, model, cores, kernel, file_system):
    pinned = f'pinned to core {bench.options.core}' if bench.pin else 'not pinned'
    print(f'{datetime.date.today()}, {model}, {cores} cores, Linux {kernel}, {file_system}; {pinned}, one thread; '
          f'{bench.options.rounds} rounds, medians; load {os.getloadavg()[0]:.1f} at the start.\n'
          f'{bench.base.parent.name}: {bench.base_n:,} vectors of {bench.dim()} floats, repeated where n is larger; '
          'ids 0..n-1 unless said otherwise; another process reads every store back and compares it.\n'
          'raw: writes of 1 MiB, fdatasync at the end; raw_early: the same, but the kernel starts each write at once; omen: '
          'OMEN_SYNC_COMMIT; lmdb: MDB_APPEND where ids ascend, fdatasync + an O_DSYNC meta page (not counted as a sync); '
          'sqlite: WAL, synchronous=FULL.\n')


def record(bench, model, cores, kernel, file_system):
    name = ''.join(c if c.isalnum() else '-' for c in f'{model} x{cores}'.lower())
    path = ROOT / 'benches/record' / name / f'{datetime.date.today()}.tsv'
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ['part\trow\tengine\tmeasure\tmedian\tx_raw\trounds\tkernel\tfile_system\n'] if not path.exists() else []
    for (part, row, engine, measure), values in bench.figures.items():
        to_raw = bench.ratio(part, row, engine, measure)
        ratio = f'{to_raw:.4f}' if to_raw == to_raw else '-'
        cells = [part, row, engine, measure, f'{median(values):.6g}', ratio, len(values), kernel, file_system]
        lines.append('\t'.join(map(str, cells)) + '\n')
    with open(path, 'a') as file:
        file.writelines(lines)
    print(f'recorded in {path.relative_to(ROOT)}')


RUNS = dict(insert=[run_inserts, print_inserts, print_reads], curve=[run_curve, print_curve],
            random=[run_random, print_random], small=[run_small, print_small], compress=[run_compress, print_compress],
            million=[run_million, print_million])


def main():
    bench = Bench(arguments())
    bench.options.work.mkdir(parents=True, exist_ok=True)
    where = machine(bench.options.work)
    print_heading(bench, *where)
    try:
        for part in bench.parts:
            run, *prints = RUNS[part]
            run(bench)
            for show in prints:
                show(bench)
                sys.stdout.flush()
    finally:
        shutil.rmtree(bench.options.work, ignore_errors=True)
    if 'omen' in bench.engines:
        print_bars(bench)
    if bench.options.record:
        record(bench, *where)


if __name__ == '__main__':
    main()
