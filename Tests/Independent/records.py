"""Records, pools and the market both machines share: 2.3, 2.4, 5.2, 7.3 of Docs/Protocol.md."""

import struct

from pricing import MONEY, ONE, Terms, up, valuation
from sizes import Sizes
from verify import CONSTANTS, EMPTY, action_records, need, sha


BODY_MAX = 8 << 20
LATEST = 253402300799999


class Row:
    """A record with named fields."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


class Instrument:
    def __init__(self, data):
        (self.id, self.underlying, self.kind, option, self.strike, self.expiry, self.tick, self.lot, self.size_max,
         self.price_max, self.maker, self.taker, self.status, *self.tiers, self.settled, self.listed,
         self.opening, self.interval, self.daily, self.band, self.tier_volume) = struct.unpack("<IHBB8qBBHHHqQIIqqq", data)
        *self.tiers, self.samples = self.tiers
        self.option, self.call, self.expires = option, option == 1, self.kind != 3

    def bytes(self):
        return struct.pack("<IHBB8qBBHHHqQIIqqq", self.id, self.underlying, self.kind, self.option, self.strike, self.expiry,
                           self.tick, self.lot, self.size_max, self.price_max, self.maker, self.taker, self.status, *self.tiers,
                           self.samples, self.settled, self.listed, self.opening, self.interval, self.daily, self.band,
                           self.tier_volume)

    def rate(self, taker, volume):
        """7.3: the rate of an account of that volume."""
        count, *steps = self.tiers
        tier = min(count, volume // self.tier_volume) if count else 0
        return (self.taker if taker else self.maker) - tier * steps[taker] * 1_000

    def fee(self, price, quantity, taker, volume=0):
        rate = self.rate(taker, volume)
        return up(up(price * abs(quantity), MONEY) * rate, ONE) if rate else 0

    def payoff(self, price):
        if not self.option:
            return price
        return max(0, price - self.strike if self.call else self.strike - price)

    @property
    def has_calls(self):
        return bool(self.opening or self.interval)

    @property
    def is_listed(self):
        return self.status in (1, 2)

    def trades(self, time):
        return self.status == 1 and not (self.expires and self.expiry <= time)

    @property
    def is_allowed(self):
        kinds = {1: self.option in (1, 2) and self.strike > 0 and self.expiry > 0,
                 2: self.option == 0 and self.strike == 0 and self.expiry > 0,
                 3: self.option == 0 and self.strike == 0 and self.expiry == 0}
        return (kinds.get(self.kind, False) and self.status in (1, 2, 3, 4)
                and min(self.tick, self.lot, self.size_max, self.price_max) > 0
                and self.size_max % self.lot == 0 and self.price_max % self.tick == 0
                and self.size_max <= 1 << 55 and self.price_max * self.size_max <= 10 ** 27
                and 0 <= self.maker <= 5 * 10 ** 7 and 0 <= self.taker <= 5 * 10 ** 7
                and 0 <= self.band <= ONE and self.has_sound_tiers and max(self.opening, self.interval) <= 86_400_000
                and 0 <= self.daily <= 1 << 55
                and (self.samples == 0 or self.samples <= 30 and self.expires and self.expiry % 60_000 == 0))

    @property
    def has_sound_tiers(self):
        if not self.tiers[0]:
            return (*self.tiers, self.tier_volume) == (0, 0, 0, 0)
        return (self.tiers[0] <= 16 and self.tier_volume > 0
                and self.rate(True, 1 << 80) > max(0, -self.rate(False, 1 << 80)))


class Tree:
    """An indexed tree (2.3) that hashes again only what was set."""

    def __init__(self):
        self.levels = [{} for _ in range(33)]
        self.dirty = set()

    def set(self, index, value):
        if self.levels[0].get(index) != value:
            self.levels[0][index] = value
            self.dirty.add(index)

    def root(self):
        indices, self.dirty = self.dirty, set()
        for depth in range(32):
            level, empty = self.levels[depth], EMPTY[depth]
            indices = {i >> 1 for i in indices}
            for i in indices:
                self.levels[depth + 1][i] = sha(level.get(2 * i, empty), level.get(2 * i + 1, empty))
        return self.levels[32].get(0, EMPTY[32])


class Pool:
    """Records as bytes, with the tree of 2.4."""

    def __init__(self, size, page=1):
        self.size, self.page, self.records, self.tree, self.touched = size, page, [], Tree(), set()

    def __len__(self):
        return len(self.records)

    def set(self, slot, data):
        need(len(data) == self.size, "record size")
        while len(self.records) <= slot:
            self.records.append(bytes(self.size))
            self.touched.add((len(self.records) - 1) // self.page)
        self.records[slot] = data
        self.touched.add(slot // self.page)

    def root(self):
        for page in self.touched:
            self.tree.set(page, sha(*self.records[page * self.page:(page + 1) * self.page]))
        self.touched = set()
        return self.tree.root()


class Slots:
    """The lowest free slot."""

    def __init__(self):
        self.free, self.count = set(), 0

    def take(self):
        if self.free:
            slot = min(self.free)
            self.free.discard(slot)
            return slot
        self.count += 1
        return self.count - 1

    def lowest(self):
        return min(self.free, default=self.count)

    def is_free(self, slot):
        return slot >= self.count or slot in self.free

    def mark(self, slot):
        """Takes this slot; those below that never were used are free."""
        self.free |= set(range(self.count, slot + 1))
        self.count = max(self.count, slot + 1)
        self.free.discard(slot)


class Action:
    """First record of an action (5.2)."""

    def __init__(self, bundle, place, at):
        self.place, self.at = place, at
        data = bundle[at:at + 64]
        self.kind, self.a, self.b, self.c, self.id, self.x, self.y, self.z = struct.unpack("<BBBBIqqQ", data[:32])
        self.tail = data[32:]
        self.data = bundle[at:at + 64 * action_records(self.kind, self.c)]


def actions(bundle):
    place = 0
    end = (len(bundle) - 160) // 64
    while place < end:
        action = Action(bundle, place, 96 + 64 * place)
        yield action
        place += action_records(action.kind, action.c)


def bundle_header(data):
    account, key, nonce, expiry, flags, count, digest, records = struct.unpack("<I32sQqHH32sH", data[:90])
    return account, key, nonce, expiry, flags, count, digest, records


class Market(Sizes):
    """Marks and unit vectors from instruments, indices and slices: what both machines share."""

    def __init__(self, genesis):
        self.genesis = genesis
        self.instruments = [Instrument(data) for data in genesis.instruments]
        self.indices = [(0, 0, 0) for _ in genesis.underlyings]
        self.slices = {}
        self.values, self.cache, self.legs = [], {}, {}
        self.multiple = [10 ** (8 - asset[16]) for asset in genesis.assets]
        self.terms = Terms(genesis.margin)
        self.constant = dict(zip(CONSTANTS, struct.unpack(f"<{len(CONSTANTS)}q", genesis.constants[:8 * len(CONSTANTS)])))

    def reprice(self):
        self.values = []
        for instrument in self.instruments:
            index, time, doubt = self.indices[instrument.underlying]
            front = self.front(instrument.underlying, time)
            key = (instrument.id, index, time, doubt, instrument.status, instrument.settled, front, id(self.terms),
                   self.slices.get((instrument.underlying, instrument.expiry)))
            if self.cache.get(instrument.id, (None,))[0] != key:
                self.cache[instrument.id] = (key, valuation(instrument, index, self.slices, self.terms, front, time,
                                                                  doubt))
            self.values.append(self.cache[instrument.id][1])
        self.price_legs()

    def price_legs(self):
        self.legs = {}
        for asset, c in self.terms.collaterals.items():
            price, _, doubt = self.indices[c.underlying]
            if price > 0:
                self.legs[asset] = (price, self.terms.linear(price, price),
                                    self.terms.charges(10 ** 12, price, doubt)[:2],
                                    max(0, self.terms.threshold - (ONE - doubt)))

    # 10.7: collateral

    def counted(self, asset, amount):
        """Units of the asset that count."""
        if asset not in self.legs:
            return 0
        most = min(1 << 62, 10 ** 27 // self.legs[asset][0]) // self.multiple[asset]
        return max(0, min(amount, self.terms.collaterals[asset].account_max, most))

    def worth(self, asset, amount):
        """Value, haircut of maintenance, and what initial margin takes on top."""
        if asset not in self.legs:
            return 0, 0, 0
        c, (price, _, _, gap) = self.terms.collaterals[asset], self.legs[asset]
        value = price * self.counted(asset, amount) * self.multiple[asset]
        return (value, up(value * c.haircut, ONE),
                up(value * c.initial_haircut, ONE) + up(up(value * gap, ONE) * self.terms.factor, ONE))

    def kept(self, asset, amount):
        value, one, two = self.worth(asset, amount)
        return value - one - two

    def front(self, underlying, time):
        """The nearest expiry after a time."""
        return min((e for u, e in self.slices if u == underlying and e > time), default=None)

    def mark(self, instrument):
        return self.values[instrument][0] if self.values[instrument] else 0

    def mark_time(self, instrument):
        """When the oldest word behind the mark was true; 0 where nothing is priced."""
        i = self.instruments[instrument]
        if self.values[instrument] is None:
            return 0
        if i.status == 4:
            return LATEST
        index, found = self.indices[i.underlying][1], self.slices.get((i.underlying, i.expiry))
        return min(index, found[2]) if i.expires and found else index

    def units(self, instrument):
        return self.values[instrument][1] if self.values[instrument] else [0] * 32

    def delta_columns(self, instrument, q):
        """10.6: what q contracts add to the charge where longs lead, and where shorts do."""
        if not self.values[instrument]:
            return 0, 0
        lead, trail, *_ = self.values[instrument][3]
        own, other = abs(q) * lead, abs(q) * trail
        return (own, other) if (q > 0) != (self.values[instrument][4] < 0) else (other, own)

    def short_charge(self, instrument, q):
        is_option = self.instruments[instrument].kind == 1 and self.values[instrument]
        return -q * self.values[instrument][3][2] if is_option and q < 0 else 0

    def basis(self, instrument):
        return self.values[instrument][3][3] if self.values[instrument] else 0

    def gross(self, instrument, q):
        """8.5: g(q)."""
        return abs(q) * (abs(self.basis(instrument)) + self.doubt_charge(instrument))

    def doubt_charge(self, instrument):
        return self.values[instrument][3][4] if self.values[instrument] else 0

    def page(self, instrument, apart):
        """What a contract nets in: its underlying, or in cross mode itself alone."""
        return instrument if apart else self.instruments[instrument].underlying

    def requirement(self, positions, balances=(), apart=False):
        """9.11: initial margin of positions and balances, the scenario sums of each page, maintenance, and what that is a
        share of. A page of collateral alone has a number below zero."""
        sums, delta, owed, short, held, tilts, owing, doubt = {}, {}, {}, {}, {}, {}, set(), 0
        for i, q in positions:
            terms = self.instruments[i]
            u = self.page(i, apart)
            total = sums.setdefault(u, [0] * 32)
            for s, unit in enumerate(self.units(i)):
                total[s] += q * unit
            doubt += abs(q) * self.doubt_charge(i)
            columns = self.delta_columns(i, q)
            delta[u] = tuple(map(sum, zip(delta.get(u, (0, 0)), columns)))
            owed.setdefault(u, (0, 0))
            held.setdefault(u, 0)
            short.setdefault(u, 0)
            if terms.kind != 1 or q < 0:
                owing.add(u)
                owed[u] = tuple(map(sum, zip(owed[u], columns)))
                short[u] += self.short_charge(i, q)
            else:
                held[u] += q * self.mark(i)
            if self.basis(i):
                tilts[u, terms.expiry] = tilts.get((u, terms.expiry), 0) + q * self.basis(i)
        static = [0, 0]
        for asset, amount in balances:
            q = self.counted(asset, amount) * self.multiple[asset]
            if q == 0:
                continue
            price, units, (lead, trail), _ = self.legs[asset]
            u = -asset if apart else self.terms.collaterals[asset].underlying
            total = sums.setdefault(u, [0] * 32)
            for s, unit in enumerate(units):
                total[s] += q * unit
            delta[u] = tuple(map(sum, zip(delta.get(u, (0, 0)), (q * lead, q * trail))))
            owed.setdefault(u, (0, 0))
            short.setdefault(u, 0)
            held[u] = held.get(u, 0) + q * price
            _, one, two = self.worth(asset, amount)
            static = [static[0] + one, static[1] + two]
        least = {u: min(max(0, *delta[u]), max(0, *owed[u]) + held[u]) for u in sums}
        asked = {u: max(-min(0, *sums[u]), least[u], short[u]) for u in sums}
        if apart:
            for (u, _), tilt in tilts.items():
                asked[u] += abs(tilt)
            core = sum(asked[u] if u in owing else min(asked[u], held[u]) for u in sums)
        else:
            core = sum(asked.values())
            share = self.terms.share
            if share:
                joint = max([0] + [-sum(column) for column in zip(*sums.values())])
                joint = max(joint, sum(least.values()), sum(short.values()))
                core = up(joint * share, ONE) + up(core * (ONE - share), ONE)
            core += sum(map(abs, tilts.values()))
            core = core if owing else min(core, sum(held.values()))
        return core + doubt + sum(static), sums, up(core * self.terms.maintenance, ONE) + static[0], core

    def greeks(self, instrument):
        """What a contract moves by: contracts of the underlying, and price for a point of volatility."""
        if not self.values[instrument]:
            return 0, 0
        (_, u, span, _, _), index = self.values[instrument], self.indices[self.instruments[instrument].underlying][0]
        if self.terms.is_span:
            third = 4 * self.terms.moves(index)[2]
            return (u[2] + u[3] - u[4] - u[5]) * ONE // third if third else 0, (u[0] - u[1]) * 10 ** 7 // span if span else 0
        return (u[13] - u[10]) * 12500000000 // index if index else 0, (u[25] - u[24]) * 10 ** 7 // span if span else 0

    def index_bytes(self, underlying):
        price, time, doubt = self.indices[underlying]
        return struct.pack("<HHIqq", underlying, 0, doubt, price, time)

    @staticmethod
    def slice_bytes(key, value):
        return struct.pack("<HHIqq5qq", key[0], 0, 0, key[1], value[0], *value[1], value[2])


