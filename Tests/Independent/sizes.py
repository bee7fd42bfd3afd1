"""10.8 of Docs/Protocol.md: what is asked on entry for size, of everybody and of an owner."""

from pricing import ONE, up

MOST = 1 << 110


class Sizes:
    @property
    def asks_for_size(self):
        return any(map(self.is_sized, range(len(self.instruments))))

    def is_sized(self, i):
        terms = self.instruments[i]
        return terms.daily > 0 and terms.status in (1, 2) and self.values[i] is not None

    def crowding(self, i, q, open_interest):
        """Of a position of q contracts while so many are open, whoever holds them."""
        terms, (low, high) = self.instruments[i], self.terms.open_interest
        if not q or not high or not self.is_sized(i):
            return 0
        spot, units = self.indices[terms.underlying][0], self.units(i)
        if q > 0:
            unit = 0 if terms.kind == 1 else max(0, spot - max(0, -min(units)))
        else:
            unit = max(0, (terms.strike if terms.option == 2 else spot) - max(0, *units))
        low = terms.daily * low // ONE
        high = max(low + 1, terms.daily * high // ONE)
        share = min(ONE, up(max(0, open_interest - low) * ONE, high - low))
        return min(MOST, abs(q) * up(unit * share, ONE))

    def counts(self, i, q):
        """How much of q contracts counts towards an owner's total."""
        return max(0, -q) if self.instruments[i].kind == 1 else abs(q)

    def concentration(self, i, own, others):
        """Of an account that has so much that counts, its owner's others having the rest."""
        if not own or not self.is_sized(i):
            return 0
        weight = 0
        for start, rate in self.terms.slopes:
            start = self.instruments[i].daily * start // ONE
            weight += rate * (max(0, own + others - start) - max(0, others - start))
        return min(MOST, up(weight * self.indices[self.instruments[i].underlying][0], ONE))
