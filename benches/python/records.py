"""Records: one file of JSON lines a day, to which each result is appended at once; and tables made from them."""
import json

from machine import ROOT, machine


def records_folder(is_recorded, work):
    """benches/record/<machine> if the results are to be kept, else `work`."""
    if not is_recorded:
        return work
    model, cores, _ = machine()
    return ROOT / 'benches/record' / ''.join(c if c.isalnum() else '-' for c in f'{model} x{cores}'.lower())


def append(path, row):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a') as file:
        file.write(json.dumps(row) + '\n')


def newest(paths, *keys):
    """{(data, n): {values of `keys`: row}}: the last recorded row of each, in the order of the first ones.

    A key that a row does not have is None.
    """
    rows = {}
    for line in (line for path in paths if path.exists() for line in path.read_text().splitlines()):
        row = json.loads(line)
        name = tuple(row.get(key) for key in keys)
        rows.setdefault((row['data'], row['n']), {})[name if len(keys) > 1 else name[0]] = row
    return rows


def columns(rows):
    """A Markdown table whose source lines up; the first row is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    line = lambda row: '| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |'
    rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
    return '\n'.join([line(rows[0]), rule, *map(line, rows[1:])])


def relative(path):
    """The path relative to the repository, if it lies in it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
