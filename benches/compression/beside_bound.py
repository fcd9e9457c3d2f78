"""The tables of errors beside Shannon's bound, and the plot over the number of rows."""
import matplotlib
import matplotlib.ticker
from cases import LONG
from records import columns
from report import circumstances, count, label

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

NOTES = '''Total B: all bytes that a reader needs, divided by the rows; libomen: all files of the directory. Bound: the lowest
relative MSE of a Gaussian with the covariance of these rows, at the bytes of a code. It gets mean and directions for nothing:
with few rows for each dim it is far below any code. x: relative MSE over the bound; x of all bytes: over the bound at the total
bytes. Held out: over the queries (as many as there are rows at most), on which nothing was trained. Recall@10: of the default
search of libomen, and of the own estimate of a peer. Compress: training and encoding.'''
HEAD = ['data', 'rows', 'method', 'total B', 'code B', 'rel. MSE', 'held out', 'bound', 'x', 'x held out', 'x of all bytes',
        'recall@10', 'compress s', 'rounds']
# Rows of one source: the larger set has those of the smaller one, and more.
SOURCES = {LONG: 'sift100k'}
STYLES = [('black', 'o'), ('tab:red', 's'), ('tab:blue', '^'), ('tab:green', 'D')]


def significant(value):
    return '-' if value is None else f'{value:.4g}'


def over(value, bound):
    return '-' if value is None or not bound else f'{value / bound:.2f}'


def compress_seconds(row):
    return row['train_seconds'] + row['n'] / row['encode_per_second']


def cells(row):
    name = [row['data'], f'{row["n"]:,}', label(row['method'])]
    if 'failed' in row:
        return [*name, row['failed'], *[''] * (len(HEAD) - len(name) - 1)]
    mse, held_out, bound = row['relative_mse'], row['relative_mse_held_out'], row['bound_code']
    return [*name, f'{row["total_bytes"]:.2f}', count(row['code_bytes']), *map(significant, (mse, held_out, bound)),
            over(mse, bound), over(held_out, bound), over(mse, row['bound_total']), f'{row["recall_own"]:.4f}',
            f'{compress_seconds(row):.1f}', str(row['rounds'])]


def table(title, by_data, date):
    """Markdown: one table of a part, the sets in the order of their names and rows, the most bytes first."""
    rows = [row for methods in by_data.values() for row in methods.values()]
    rows.sort(key=lambda row: (row['data'], row['n'], -row.get('total_bytes', 0), row['method']))
    lines = [f'{title}. {circumstances(rows, date)}', '', columns([HEAD, *map(cells, rows)]), '', NOTES, '']
    return '\n'.join(lines)


def sources(by_data):
    """{source: its measured rows}, the fewest rows first."""
    found = {}
    rows = [row for methods in by_data.values() for row in methods.values() if 'failed' not in row]
    for row in sorted(rows, key=lambda row: row['n']):
        found.setdefault(SOURCES.get(row['data'], row['data']), []).append(row)
    return found


def draw(by_data, date, path):
    """Draws errors and bounds over the number of rows on the left, their quotients on the right; all axes logarithmic."""
    figure, (errors, quotients) = plt.subplots(1, 2, figsize=(11, 4.8))
    for (name, rows), (colour, marker) in zip(sources(by_data).items(), STYLES):
        n, bound = [row['n'] for row in rows], [row['bound_code'] for row in rows]
        for key, line, fill, what in (('relative_mse', '-', colour, ''), ('relative_mse_held_out', ':', 'white', ', held out')):
            values = [row[key] for row in rows]
            style = dict(color=colour, marker=marker, markerfacecolor=fill, linestyle=line, label=name + what)
            errors.plot(n, values, **style)
            quotients.plot(n, [value / least for value, least in zip(values, bound)], **style)
        errors.plot(n, bound, color=colour, linestyle='--', label=f'{name}, Shannon bound')
    counts = sorted({n for _, n in by_data})
    quotients.axhline(1, color='black', linestyle='--', label='Shannon bound (Gaussian)')
    for axis, title in ((errors, 'relative MSE'), (quotients, 'relative MSE ÷ Shannon bound')):
        axis.set_xscale('log')
        axis.set_yscale('log')
        axis.set_xlabel('rows')
        axis.set_title(title)
        axis.set_xticks(counts, [f'{n:,}' for n in counts], fontsize=8)
        axis.minorticks_off()
        axis.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter('{x:g}')
        axis.grid(True, which='both', linewidth=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(f'libomen at ratio 16, all files counted. Bound: at the bytes of a code. Records up to {date}')
    figure.tight_layout()
    figure.savefig(path, dpi=150)
