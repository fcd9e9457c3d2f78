"""The part `filters`: searches whose filters are new with each query, in turns with the same store without a filter, and with
peers that are given the same filters."""
import functools
import statistics

from bars import FILTER_BARS, FILTER_PAIRED, FILTER_RECALL_LOST, FILTERED, ONE
from engines import family, filter_peers
from filters import SHARES


class Filtered:
    """Measures one data set by `bench`, a run.Bench whose indexes are built."""

    def __init__(self, bench):
        self.bench = bench

    def measures(self):
        """Functions without arguments, one for each comparison."""
        built = self.bench.built
        found = [functools.partial(self.beside_default, method, name, most)
                 for method in FILTERED if method in built for name, most in FILTER_BARS.items()]
        for pair in FILTER_PAIRED:
            peers = [peer for peer in filter_peers(self.bench.truth.n)
                     if family(peer) == pair.peer and {peer, pair.method, pair.instead} <= set(built)]
            found += [functools.partial(self.beside_peer, pair, peer, name) for peer in peers for name in SHARES]
        return found

    def turns(self, members):
        """The turns of `members`, after which the recall and the time of each are recorded."""
        rounds = self.bench.turns(members, ONE)
        for (method, setting), qps in zip(members, zip(*rounds)):
            self.bench.record('filtered', method, setting, recall=self.bench.find(method, setting)['recall'],
                              microseconds=1e6 / statistics.median(qps))
        return rounds

    def beside_default(self, method, name, most):
        """The time with a filter over that without one, and the recall beside that of an exact search."""
        rounds = self.turns([(method, name), (method, '')])
        found, exact = (self.bench.find(method, setting)['recall'] for setting in (name, f'{name} exact 1'))
        self.bench.bar(f'{method}, {name}, new with each query: time x that without it',
                       [all_ids / filtered for filtered, all_ids in rounds], 'at most', most)
        self.bench.bar(f'{method}, {name}: recall less than exact', [exact - found], 'at most', FILTER_RECALL_LOST)

    def beside_peer(self, pair, peer, name):
        """The peer at the setting with most recall that libomen reaches, and libomen at its fastest with at least as much."""
        method, own, other = pair.method, self.find(pair.method, name), self.find(peer, name)
        if max(map(recall, own.values())) < min(map(recall, other.values())):
            method, own = pair.instead, self.find(pair.instead, name)
        most = max(own.values(), key=recall)
        of_other = lambda setting: recall(other[setting])
        reached = [setting for setting in other if of_other(setting) <= recall(most)]
        beside = max(reached, key=of_other) if reached else min(other, key=of_other)
        reaching = [setting for setting in own if recall(own[setting]) >= of_other(beside)]
        # No setting reaches it if `instead` does not either: then the one that finds most.
        setting = min(reaching or [setting for setting in own if own[setting] is most],
                      key=lambda setting: own[setting]['one_seconds'])
        rounds = self.turns([(method, setting), (peer, beside)])
        self.bench.bar(f'{method}, {name}, new with each query: x {peer}{beside.removeprefix(name)}',
                       [mine / theirs for mine, theirs in rounds], 'at least', 1.0,
                       used=setting.removeprefix(name).strip() or 'default', recall=recall(own[setting]),
                       recall_wanted=of_other(beside))

    def find(self, method, name):
        """What each setting of an engine finds with the filter `name`."""
        settings = [f'{name} {rest}'.strip() for rest in self.bench.settings(method)]
        return {setting: self.bench.find(method, setting) for setting in settings}


def recall(found):
    return found['recall']
