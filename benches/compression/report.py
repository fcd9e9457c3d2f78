"""Makes Markdown tables and two plots from records."""
import matplotlib
import numpy as np
from records import columns

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

NOTES = '''Total bytes: all bytes a reader needs, divided by n. libomen: every file of the directory (codes, codebook and
its parity, checksums, ids, manifests). FAISS: codes, float32 centroids, rotations, means. turbovec: its serialized index.
Relative MSE: sum of |x - decoded x|^2 over sum of |x|^2, over the whole base; held out: over the queries, which nothing
was trained on (libomen: inserted after the first compress, coded by a second one with the existing codebook).
Peers are trained on {trained} drawn at random; libomen chooses its sample.
Recall@10, decoded: exact scan of the decoded vectors by the metric of the data; own: by the codec's own estimate.
libomen's encode includes write, sync and check; its decode is omen_store_get in calls of 1,000.
pq, opq: product quantizers of FAISS. If the number of subspaces does not divide dim, they have two widths, which FAISS
encodes more slowly.
opq-default: FAISS's own training; opq-identity and opq-eigenvalues: our training from those rotations (subspaces.py).
turbovec has no decode: its error is computed from its scores for the unit vectors{unit}.
rabitq: RaBitQ of FAISS, decoded with the length of least error (rabitq.py). Its random rotation is not counted, and code B
counts the two factors that suffice, where FAISS stores up to five.'''
UNIT = '; its own estimate is for vectors scaled to length one'

HEAD = ['method', 'total B', 'code B', 'train s', 'encode vec/s', 'decode vec/s', 'rel. MSE base', 'held out',
        'recall@10 decoded', 'own', 'rounds']
COLOURS = {'omen': 'black', 'rabitq': 'tab:gray', 'pq': 'tab:blue', 'pq4': 'tab:cyan', 'opq-default': 'tab:orange',
           'opq-identity': 'tab:green', 'opq-eigenvalues': 'tab:olive', 'rq': 'tab:red', 'lsq': 'tab:brown',
           'sq': 'tab:purple', 'turbovec': 'tab:pink'}


def family(row):
    name, size = row['method'].split()
    return 'pq4' if name == 'pq' and size.endswith('x4') else name


def count(value):
    return '-' if value is None else f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def error(value):
    return '-' if value is None else f'{value:.5f}'


def label(method):
    name, size = method.split()
    quality = ', best' if name == 'omen-best' else ''
    return f'**libomen, ratio {size}{quality}**' if name.startswith('omen') else method


def cells(row):
    name = label(row['method'])
    if 'failed' in row:
        return [name, row['failed'], *[''] * (len(HEAD) - 2)]
    code = '-' if row['code_bytes'] is None else str(row['code_bytes'])
    return [name, f'{row["total_bytes"]:.2f}', code, count(row['train_seconds']), count(row['encode_per_second']),
            count(row['decode_per_second']), error(row['relative_mse']), error(row['relative_mse_held_out']),
            f'{row["recall_decoded"]:.4f}', f'{row["recall_own"]:.4f}', str(row['rounds'])]


def circumstances(rows, date):
    row = rows[0]
    loads = [row['load'] for row in rows]
    return (f'{date}, {row["machine"]}, {row["cores"]} cores, Linux {row["kernel"]}; one core, one thread; load before each '
            f'method {min(loads):.1f} to {max(loads):.1f}.')


def heading(rows, date):
    row = rows[0]
    metric = {'ip': 'inner product', 'l2': 'L2'}[row['metric']]
    return f'{row["data"]}: {row["n"]:,} vectors of {row["dim"]} floats, {metric}. {circumstances(rows, date)}'


def tables(by_data, date):
    """Markdown: one table a data set, most bytes first."""
    text, trained, is_l2 = [], set(), False
    for methods in by_data.values():
        bound = methods['shannon']
        rows = [row for name, row in methods.items() if name != 'shannon']
        if not rows:
            continue
        trained |= {row['trained_on'] for row in rows if row.get('trained_on')}
        is_l2 = is_l2 or rows[0]['metric'] == 'l2'
        rows.sort(key=lambda row: (-row.get('total_bytes', 0), row['method']))
        text += [heading(rows, date), '', columns([HEAD, *map(cells, rows)]), '', bound_line(bound), '']
    drawn = ' and '.join(f'{n:,}' for n in sorted(trained))
    return '\n'.join([*text, NOTES.format(trained=f'{drawn} rows'.strip(), unit=UNIT if is_l2 else ''), ''])


def ratio_table(by_data):
    """Markdown: libomen alone, at each ratio on each data set (docs/choosing.md)."""
    head = ['data', 'ratio', 'bytes a vector', 'relative MSE', 'recall@10']
    rows = [[name, f'{ratio:g}', f'{row["total_bytes"]:.1f}', f'{row["relative_mse"]:.2g}', f'{row["recall_own"]:.3f}']
            for name, points in ratios(by_data).items() for ratio, row in points]
    return columns([head, *rows]) if rows else ''


def ratios(by_data):
    """{data: [(ratio, row)]} of libomen, at ratios that are powers of two. Other ratios were chosen to match a peer."""
    found = {}
    for (name, _), methods in by_data.items():
        rows = [(float(method.split()[1]), row) for method, row in methods.items() if method.startswith('omen')]
        points = sorted((ratio, row) for ratio, row in rows if 'failed' not in row and np.log2(ratio) % 1 == 0)
        if points:
            found[name] = points
    return found


def bound_line(bound):
    """The Shannon bound at the bytes of a few ratios, interpolated linearly in the recorded log-log curve."""
    at = lambda size: np.exp(np.interp(np.log(size), np.log(bound['total_bytes']), np.log(bound['relative_mse'])))
    sizes = [bound['dim'] * 4 / ratio for ratio in (64, 32, 16, 8, 4)]
    values = ', '.join(f'{size:g} B {at(size):.3g}' for size in sizes if size <= max(bound['total_bytes']))
    return f'Shannon bound of a Gaussian with this covariance, relative MSE: {values}.'


def draw(by_data, date, path):
    """Draws one panel for each data set: relative MSE against total bytes a vector, both logarithmic."""
    panels = [methods for methods in by_data.values() if len(methods) > 1]
    if not panels:
        return
    figure, axes = plt.subplots(1, len(panels), figsize=(7 * len(panels), 5.5), squeeze=False)
    for axis, methods in zip(axes[0], panels):
        draw_panel(axis, methods)
    row = next(row for name, row in panels[0].items() if name != 'shannon')
    figure.suptitle(f'Error against bytes. {row["machine"]}, {row["cores"]} cores, {date}')
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def draw_ratios(by_data, date, path):
    """Draws the cost of a ratio: recall@10 of a search on the left, relative MSE on the right, a line for each data set."""
    figure, (recall, error) = plt.subplots(1, 2, figsize=(11, 4.5))
    for name, points in ratios(by_data).items():
        _, first = points[0]
        metric = {'ip': 'inner product', 'l2': 'L2'}[first['metric']]
        label = f'{name}: {first["n"]:,} x {first["dim"]}, {metric}'
        for axis, key in ((recall, 'recall_own'), (error, 'relative_mse')):
            axis.plot([ratio for ratio, _ in points], [row[key] for _, row in points], 'o-', label=label)
    for axis, title in ((recall, 'recall@10 of a search'), (error, 'relative MSE')):
        axis.set_xscale('log', base=2)
        axis.xaxis.set_major_formatter('{x:g}')
        axis.set_xlabel('ratio, all files of the directory counted')
        axis.set_title(title)
        axis.grid(True, which='both', linewidth=0.3)
    recall.set_ylim(0, 1)
    error.set_yscale('log')
    error.legend(fontsize=8)
    figure.suptitle(f'libomen: what a ratio costs. Newest records up to {date}')
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def draw_panel(axis, methods):
    bound = methods['shannon']
    axis.plot(bound['total_bytes'], bound['relative_mse'], '--', color='grey', label='Shannon bound (Gaussian)')
    points = {}
    for name, row in methods.items():
        if name != 'shannon' and 'failed' not in row and row['relative_mse'] > 0:  # 0 has no logarithm
            points.setdefault(family(row), []).append((row['total_bytes'], row['relative_mse']))
    for name in (name for name in COLOURS if name in points):
        label = {'omen': 'libomen', 'pq': 'pq, 8 bits', 'pq4': 'pq, 4 bits'}.get(name, name)
        width = 2.5 if name == 'omen' else 1
        axis.plot(*zip(*sorted(points[name])), 'o-', color=COLOURS[name], label=label, linewidth=width, markersize=4)
    sizes = [size for of in points.values() for size, _ in of]
    seen = [error for of in points.values() for _, error in of]
    axis.set_xscale('log', base=2)
    axis.set_yscale('log')
    axis.set_xlim(min(sizes) / 1.2, max(sizes) * 1.2)
    axis.set_ylim(min(seen) / 2, min(1, max(seen) * 2))
    axis.set_xlabel('total bytes a vector, side bytes and codebooks included')
    axis.set_ylabel('relative MSE')
    axis.set_title(f'{bound["data"]}: {bound["n"]:,} x {bound["dim"]}, {bound["metric"]}')
    axis.grid(True, which='both', linewidth=0.3)
    axis.legend(fontsize=8)
