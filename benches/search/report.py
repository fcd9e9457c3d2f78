"""Makes Markdown tables and one plot from the records of a day."""
import statistics

import matplotlib
from bars import MIB
from engines import family
from records import columns
from verdict import middle_half, verdict

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

NOTES = '''QPS: queries a second, one query a call (one by one) and in batches of {batch}; k = 10, one core, one thread.
x flat: QPS divided by that of FAISS Flat, which takes turns with each engine; the median of the rounds. The row of Flat
itself shows the noise. Recall is that of one query a call.
Bytes a vector: the lengths of the closed files. Private: growth of RssAnon by opening and searching.
Build: for libomen insert, commit and compress; for peers training and adding, without writing the file.
Open: from opening to the first answer in a fresh process, with the pages of the files cached, and dropped.
libomen is opened read-only; where no setting is named, it chooses.
turbovec knows inner products only: on L2 data it is measured on vectors scaled to length one, with neighbours of their
own.'''

FILTER_NOTES = '''Filters are new with each query: ids drawn at random, those of `allow` 10, 1 and 0.1 % of all. us: microseconds a
query. Recall is that among the rows that may be found, of the first 100 queries; without a filter of all queries.
libomen is given the ids in ascending order, and what it makes of them is timed. What a peer is given is made before:
FAISS a bitmap, hnswlib a Python function (`bytes.__getitem__`; its filters in C++ are not in its Python package), zvec a
range of an indexed column, sqlite-vec a range of a metadata column.
Beside a peer, libomen has its fastest setting with at least the recall of the peer's setting.'''

HEAD = ['method', 'setting', 'recall@10', 'QPS one by one', 'x flat', 'QPS batch', 'x flat', 'bytes a vector',
        'private MiB', 'build s', 'open ms', 'pages dropped']
BAR_HEAD = ['data', 'bar', 'setting', 'recall', 'wanted', 'median', 'middle half', 'wanted', '']
COLOURS = {'omen': 'black', 'flat': 'grey', 'fastscan': 'tab:blue', 'pq': 'tab:cyan', 'ivf': 'tab:purple',
           'faiss-hnsw': 'tab:olive', 'hnswlib': 'tab:green', 'usearch': 'tab:red', 'turbovec': 'tab:pink',
           'zvec': 'tab:orange'}


def number(value):
    if value is None:
        return '-'
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def of_kind(rows, kind):
    return [row for (kind_of, _, _), row in rows.items() if kind_of == kind]


def heading(rows, date):
    row = rows[0]
    loads = [row['load'] for row in rows]
    metric = {'ip': 'inner product', 'l2': 'L2'}[row['metric']]
    return (f'{row["data"]}: {row["n"]:,} vectors of {row["dim"]} floats, {metric}, {row["queries"]:,} queries. {date}, '
            f'{row["machine"]} with {row["unit"]}, {row["cores"]} cores, Linux {row["kernel"]}; load {min(loads):.1f} to '
            f'{max(loads):.1f}.')


def bold(name):
    return f'**lib{name}**' if family(name) == 'omen' else name


def figure_cells(row, opened):
    name = bold(row['name'])
    if 'failed' in row:
        return [name, row['failed'], *[''] * (len(HEAD) - 2)]
    flat = lambda ratios: f'{statistics.median(ratios):.2f}' if ratios else '-'
    times = [number(statistics.median(opened[key])) if opened else '-' for key in ('warm_ms', 'cold_ms')]
    return [name, row['setting'], f'{row["recall"]:.4f}', number(row['one']), flat(row['one_flat']),
            number(row['batch']), flat(row['batch_flat']), f'{row["total_bytes"]:.2f}',
            f'{row["private_bytes"] / MIB:.1f}', f'{row["build_seconds"]:.3g} ({row["build_threads"]} threads)', *times]


def bar_cells(row):
    low, high = middle_half(row['values'])
    fell_short = 'recall' in row and row['recall'] < row['recall_wanted']
    recalls = [f'{row["recall"]:.4f}', f'{row["recall_wanted"]:.4f}'] if 'recall' in row else ['', '']
    return [f'{row["data"]}, {row["n"]:,}', f'lib{row["name"]}', row.get('used', ''), *recalls,
            f'{statistics.median(row["values"]):.4g}', f'{low:.4g} .. {high:.4g}',
            f'{row["wanted_kind"]} {row["wanted"]:.4g}',
            'MISSED (recall)' if fell_short else verdict(row['values'], row['wanted_kind'], row['wanted'])]


def tables(by_data, date):
    """Markdown: a table of the calls, one table a data set, and the bars."""
    text, batches, bars = [], set(), []
    for rows in by_data.values():
        calls, figures = of_kind(rows, 'call'), of_kind(rows, 'figures')
        if calls:
            cells = [[bold(row['name']), number(row['microseconds'])] for row in calls]
            text += ['Overhead of a call, in a store of ten vectors of 128 floats: Python, binding and preparation', '',
                     columns([['method', 'us a call'], *cells]), '']
        if figures:
            opened = {row['name']: row for row in of_kind(rows, 'open')}
            measured = {row['name'] for row in figures if 'failed' not in row}
            cells = [figure_cells(row, opened.get(row['name'])) for row in figures
                     if 'failed' not in row or row['name'] not in measured]
            text += [heading(figures, date), '', columns([HEAD, *cells]), '']
            batches |= {f'{row["batch_queries"]:,}' for row in figures}
        if filtered := of_kind(rows, 'filtered'):
            cells = [[bold(row['name']), row['setting'], f'{row["recall"]:.4f}', number(row['microseconds'])]
                     for row in filtered]
            text += [heading(filtered, date), '', columns([['method', 'setting', 'recall@10', 'us']] + cells), '',
                     FILTER_NOTES, '']
        bars += [bar_cells(row) for row in of_kind(rows, 'bar')]
    if batches:
        text += [NOTES.format(batch=' or '.join(sorted(batches))), '']
    if bars:
        text += [columns([BAR_HEAD, *bars]), '']
    return '\n'.join(text)


def draw(by_data, date, path):
    """Draws a column for each data set: queries a second against recall above, bytes a vector against recall below."""
    panels = []
    for rows in by_data.values():
        figures = [row for row in of_kind(rows, 'figures') if 'failed' not in row]
        if figures:
            panels.append(figures)
    if not panels:
        return
    figure, axes = plt.subplots(2, len(panels), figsize=(7 * len(panels), 10), squeeze=False)
    for column, rows in enumerate(panels):
        draw_panel(axes[0][column], rows, 'one', 'queries a second, one a call')
        draw_panel(axes[1][column], rows, 'total_bytes', 'bytes a vector on disk')
        axes[0][column].legend(fontsize=8, loc='upper left', bbox_to_anchor=(1, 1))
        axes[0][column].set_title(f'{rows[0]["data"]}: {rows[0]["n"]:,} x {rows[0]["dim"]}, {rows[0]["metric"]}')
    row = panels[0][0]
    figure.suptitle(f'Recall against speed and bytes. {row["machine"]} with {row["unit"]}, {row["cores"]} cores, '
                    f'one thread, {date}')
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def draw_panel(axis, rows, key, label):
    lines = {}
    for row in rows:
        lines.setdefault(row['name'], []).append((row['recall'], row[key]))
    for name, points in lines.items():
        is_omen = family(name) == 'omen'
        sizes = [other for other in lines if family(other) == family(name)]
        axis.plot(*zip(*sorted(points)), marker='oXsD'[sizes.index(name) % 4], color=COLOURS[family(name)],
                  label=f'lib{name}' if is_omen else name, linewidth=2 if is_omen else 1, markersize=7 if is_omen else 4)
    axis.set_yscale('log')
    axis.set_xlabel('recall@10')
    axis.set_ylabel(label)
    axis.grid(True, which='both', linewidth=0.3)
