"""Whether a promise holds, from the rounds it was measured in."""
import statistics


def middle_half(values):
    """The quartiles of the rounds; the value itself twice where there is one."""
    if len(values) < 2:
        return values[0], values[0]
    quartiles = statistics.quantiles(values, n=4, method='inclusive')
    return quartiles[0], quartiles[2]


def verdict(values, kind, bar):
    """A bar that lies within the middle half of its rounds is unclear, whichever side the median fell on."""
    low, high = middle_half(values)
    if low < bar < high:
        return 'unclear'
    median = statistics.median(values)
    return 'holds' if (median >= bar if kind == 'at least' else median <= bar) else 'MISSED'
