#!/usr/bin/env python3
"""Compares compression by libomen with FAISS and turbovec at equal total bytes, and with Shannon's bound: measures, records,
prints, draws.

The parts (--parts) are in cases.py. `rows`, `normals`, `turned` and `seeds` have tables beside the bound of a Gaussian.
Each method runs in its own process (measure.py), pinned to one core, one thread. Each result is appended to the day's
records at once. So the results of `--engines omen` and `--engines peers` add up, and a later result replaces an earlier one
of the same method. `--table` prints and draws the records of all days, and measures nothing.
"""
import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys

import beside_bound
import report
from cases import LIMITED, LONG, PARTS, by_part, cases, methods
from data import Data
from distortion import Shannon
from machine import LIBRARY, ROOT, machine, started
from records import append, records_folder, relative

MEASURE = pathlib.Path(__file__).resolve().parent / 'measure.py'


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', action='append', type=pathlib.Path, default=[],
                        help='a directory with base, query and README; may be repeated. By default those of '
                             'OMEN_BENCH_DATA (separated by colons), else sift100k and minilm50k, else tests/data/sift10k')
    parser.add_argument('--parts', default=','.join(PARTS),
                        help='; '.join(f'{name}: {part.about}' for name, part in PARTS.items()))
    parser.add_argument('--long', action='store_true', help=f'{LONG} too, in the part `rows`: minutes, and 3 GB of memory')
    parser.add_argument('--engines', default='omen,peers')
    parser.add_argument('--ratios', default='4,8,16,32,64', help='of libomen in the part `ratios`; peers are sized to them')
    parser.add_argument('--only', default='', help='only methods whose name begins with one of these, as `sq,opq`')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--limit', type=int, default=0, help='vectors of the base to use, drawn at random; 0 = all')
    parser.add_argument('--train', type=int, default=50_000, help='rows peers are trained on')
    parser.add_argument('--time-limit', type=int, default=300, help='seconds for a whole RQ or LSQ method')
    parser.add_argument('--core', default='1', help='the core everything is pinned to')
    parser.add_argument('--work', default=ROOT / 'target/compression', type=pathlib.Path)
    parser.add_argument('--library', default=LIBRARY, type=pathlib.Path)
    parser.add_argument('--record', action='store_true',
                        help='records and plot in benches/record/<machine>, not in --work')
    parser.add_argument('--table', action='store_true', help='measure nothing: print and draw what is recorded')
    parser.add_argument('--date', default=str(datetime.date.today()), help='the day of the records')
    return parser.parse_args()


def measured(options, case, method):
    """The figures of one method, or {'failed': why}."""
    limit = options.time_limit if method.split()[0] in LIMITED else None
    process = started(MEASURE, method, '--data', case.folder, '--library', options.library, '--work',
                      options.work / 'store', '--limit', case.limit, '--seed', case.seed, '--train', options.train,
                      '--rounds', options.rounds, core=options.core, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        found, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {'failed': f'not finished in {limit} s'}
    if process.returncode != 0:
        print(errors, file=sys.stderr)
        last = (errors.strip().splitlines() or [''])[-1]
        return {'failed': f'exit {process.returncode}: {last[:120]}'}
    return json.loads(found.splitlines()[-1])


def bounds(shannon, row):
    """The bounds of the measured row: of the bytes of a code, and of all bytes a vector."""
    sizes = dict(bound_code=row.get('code_bytes'), bound_total=row.get('total_bytes'))
    return {name: size and shannon.bound(size) for name, size in sizes.items()}


def run(options, part, case, path):
    data = Data(case.folder, case.limit, seed=case.seed)
    model, cores, kernel = machine()
    about = dict(part=part, data=data.name, n=data.n, dim=data.dim, metric='ip' if data.is_ip else 'l2')
    shannon = Shannon(data.base)
    if part == 'ratios':
        sizes = [2 ** (step / 4) for step in range(4, 41) if 2 ** (step / 4) <= data.dim]
        curve = [shannon.bound(size) for size in sizes]
        append(path, dict(**about, method='shannon', total_bytes=sizes, relative_mse=curve))
    for method in methods(part, options, data):
        load = round(os.getloadavg()[0], 2)
        row = measured(options, case, method)
        append(path, dict(**about, method=method, rounds=options.rounds, load=load, machine=model, cores=cores,
                          kernel=kernel, **row, **bounds(shannon, row)))
        print(f'{part}: {data.name}, {data.n:,} rows, {method}: {row.get("failed") or "done"}', file=sys.stderr, flush=True)


def show(options, folder):
    """Prints the tables of the parts and draws the plots. Records of other days still hold: errors do not depend on the day."""
    found = by_part(sorted(folder.glob('compression-*.jsonl')))
    for part in options.parts.split(','):
        rows = found[part]
        if part == 'ratios' and rows:
            print(report.tables(rows, options.date))
            print(report.ratio_table(rows))
            report.draw(rows, options.date, folder / 'compression.png')
            report.draw_ratios(rows, options.date, folder / 'ratios.png')
        elif rows:
            print(beside_bound.table(f'{part}: {PARTS[part].about}', rows, options.date))
            if part == 'rows':
                beside_bound.draw(rows, options.date, folder / 'rows.png')


def main():
    options = arguments()
    folder = records_folder(options.record, options.work)
    path = folder / f'compression-{options.date}.jsonl'
    if not options.table:
        for part in options.parts.split(','):
            for case in cases(part, options):
                run(options, part, case, path)
    show(options, folder)
    print(f'records: {relative(path)}, plots beside it: compression.png, ratios.png, rows.png')


if __name__ == '__main__':
    main()
