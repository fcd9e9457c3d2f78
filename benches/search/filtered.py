"""The part `filters`: searches whose filters are new with each query, in turns with the same store without a filter, and with
peers that are given the same filters."""
import statistics

from bars import FILTER_BARS, FILTER_PAIRED, FILTER_RECALL_LOST, ONE
from filters import SHARES


class Filtered:
    """Measures one data set by `bench`, a run.Bench whose indexes are built."""

    def __init__(self, bench):
        self.bench = bench

    def measure(self):
        for method in dict.fromkeys(pair.method for pair in FILTER_PAIRED if pair.has_default):
            for name, most in FILTER_BARS.items() if method in self.bench.built else ():
                self.beside_default(method, name, most)
        for pair in FILTER_PAIRED:
            peers = [peer for peer in self.bench.built if peer.split()[0] == pair.peer]
            for peer in peers if pair.method in self.bench.built else ():
                for name in SHARES:
                    self.beside_peer(pair.method, peer, name)

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

    def beside_peer(self, method, peer, name):
        """The peer at the setting with most recall that libomen reaches, and libomen at its fastest with at least as much."""
        find = lambda engine: {setting: self.bench.find(engine, setting)
                               for setting in (f'{name} {rest}'.strip() for rest in self.bench.settings(engine))}
        own, other = find(method), find(peer)
        most = max(found['recall'] for found in own.values())
        reached = [setting for setting in other if other[setting]['recall'] <= most]
        recall = lambda setting: other[setting]['recall']
        beside = max(reached, key=recall) if reached else min(other, key=recall)
        reaching = [setting for setting in own if own[setting]['recall'] >= recall(beside)]
        setting = (min(reaching, key=lambda setting: own[setting]['one_seconds']) if reaching
                   else max(own, key=lambda setting: own[setting]['recall']))
        rounds = self.turns([(method, setting), (peer, beside)])
        self.bench.bar(f'{method}, {name}, new with each query: x {peer} {beside.removeprefix(name)}'.strip(),
                       [mine / theirs for mine, theirs in rounds], 'at least', 1.0,
                       used=setting.removeprefix(name).strip() or 'default', recall=own[setting]['recall'],
                       recall_wanted=recall(beside))
