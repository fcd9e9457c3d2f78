"""Whether a bar holds, from the rounds in which it was measured."""
import statistics


def middle_half(values):
    """The first and the third quartile of the rounds; the value twice if there is only one."""
    if len(values) < 2:
        return values[0], values[0]
    quartiles = statistics.quantiles(values, n=4, method='inclusive')
    return quartiles[0], quartiles[2]


def verdict(values, kind, bar):
    """A bar within the middle half of its rounds is unclear, on whichever side the median lies."""
    low, high = middle_half(values)
    if low < bar < high:
        return 'unclear'
    median = statistics.median(values)
    return 'holds' if (median >= bar if kind == 'at least' else median <= bar) else 'MISSED'
