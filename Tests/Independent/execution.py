"""Section 8 of Docs/Protocol.md: execution."""

import heapq
import struct

from pricing import MONEY, ONE, WORDS, Terms, black, deviation, signed, up
from records import BODY_MAX, Instrument, Market, Pool, Row, Slots, actions, bundle_header
from signatures import acceptable, is_signed
from verify import ALL, NONE, ZERO, merkle, need, object_id, sha


class Refused(Exception):
    """Why an action is not carried out: code and figures (5.4)."""


def allows(check, *arguments):
    try:
        check(*arguments)
    except Refused:
        return False
    return True


def floored(value):
    return max(-1 << 63, min((1 << 63) - 1, value // MONEY))


class Execution(Market):
    def __init__(self, genesis):
        super().__init__(genesis)
        self.keys, self.credits, self.holdings, self.balances, self.since, self.orders = [], [], [], [], [], []
        self.pools = {name: Pool(size, page) for name, size, page in (
            ("keys", 96, 16), ("credits", 48, 16), ("holdings", 48, 16), ("balances", 32, 16), ("since", 48, 16),
            ("orders", 48, 16), ("extras", 48, 16), ("timers", 16, 16), ("protections", 128, 16), ("triggers", 96, 16), ("calls", 16, 16), ("sessions", 32, 16), ("instruments", 128, 1),
            ("indices", 24, 1), ("slices", 72, 1), ("status", 128, 1), ("margin", 1536, 1))}
        self.dirty = {name: set() for name in self.pools}
        self.slice_order, self.margin = [], genesis.margin
        self.dirty["margin"].add(0)
        self.batch, self.time, self.next_order, self.next_trade = 0, genesis.start, 1, 1
        self.credit_batch, self.credit_id, self.oracle_time, self.since_count = NONE, ZERO, 0, 0
        self.order_slots, self.holding_slots, self.extra_slots = Slots(), Slots(), Slots()
        self.extras, self.expiring = [], []
        self.timers, self.timer_of, self.timer_slots = [], {}, Slots()
        self.protections, self.protection_of, self.protection_slots = [], {}, Slots()
        self.triggers, self.waiting, self.trigger_slots = [], {}, Slots()
        self.calls = []
        self.sessions, self.consents, self.session_slots = [], {}, Slots()
        self.by_id, self.by_client = {}, {}
        self.accounts, self.books = [], []
        for owner in genesis.accounts:
            self.open_account(owner, 0)
        for instrument in self.instruments:
            self.list_book(instrument)
            self.dirty["instruments"].add(instrument.id)
        self.dirty["indices"].update(range(len(self.indices)))
        self.reprice()

    # Records as bytes

    def record(self, name, slot):
        if name == "keys":
            k = self.keys[slot]
            return k.key + struct.pack("<IIIIQQqQQII", k.account, k.next, k.markets, k.owner, k.start, k.until, k.expiry,
                                       k.top, k.bits, k.second, k.count)
        if name == "credits":
            c = self.credits[slot]
            return struct.pack("<qqIIIIIHHq", c.cash, c.outflow, c.flags, c.key, c.holding, c.balance, c.orders, c.keys,
                               c.holdings, c.spent)
        if name == "holdings":
            h = self.holdings[slot]
            return bytes(48) if h is None else struct.pack(
                "<IIqqqIIII", h.account, h.instrument, h.granted, h.cost, h.since, h.next, h.orders, h.fills, 1)
        if name == "balances":
            b = self.balances[slot]
            return struct.pack("<IHHqqII", b.account, b.asset, 0, b.granted, b.outflow, b.next, 0)
        if name == "since":
            s = self.since[slot]
            return bytes(48) if s is None else struct.pack(
                "<QIIqqqII", s.batch, s.account, s.subject, s.quantity, s.price, s.fee, s.kind, 0)
        if name == "orders":
            o = self.orders[slot]
            return bytes(48) if o is None else struct.pack(
                "<QQqqIIBB2xI", o.id, o.client, o.price, o.shown, o.account, o.instrument, o.side,
                o.reduce | (2 if o.extra is not None else 0) | (4 if o.quote else 0), o.print)
        if name == "extras":
            o = self.extras[slot]
            return bytes(48) if o is None else struct.pack(
                "<QqqqQ8x", o.id, o.expiry, o.display, o.left - o.shown, o.priority)
        if name == "timers":
            return bytes(16) if self.timers[slot] is None else struct.pack("<qI4x", *self.timers[slot])
        if name == "protections":
            p = self.protections[slot]
            return bytes(128) if p is None else struct.pack("<IHH12q24x", p.account, p.underlying, 1, p.window, p.frozen,
                                                            *p.limits, p.start, *p.sums, p.until)
        if name == "calls":
            return struct.pack("<qI4x", *self.calls[slot])
        if name == "sessions":
            s = self.sessions[slot]
            return struct.pack("<QIII12x", s.number, s.account, s.scope, s.by) if s else bytes(32)
        if name == "triggers":
            t = self.triggers[slot]
            return bytes(96) if t is None else struct.pack("<QI4xQ8x", t.id, t.account, t.reached) + t.action.data
        if name == "instruments":
            return self.instruments[slot].bytes()
        if name == "indices":
            return self.index_bytes(slot)
        if name == "margin":
            return self.margin
        key = self.slice_order[slot]
        return self.slice_bytes(key, self.slices[key])

    def root(self):
        for name, slots in self.dirty.items():
            for slot in sorted(slots):
                self.pools[name].set(slot, self.record(name, slot))
            slots.clear()
        self.pools["status"].set(0, struct.pack(
            "<QqQQQq32sII40x", self.batch, self.time, self.next_order, self.next_trade, self.credit_batch,
            self.oracle_time, self.credit_id, 1, self.since_count))
        root = {name: pool.root() for name, pool in self.pools.items()}
        return merkle(8, [root["keys"], sha(root["credits"], root["balances"]), root["holdings"], root["since"],
                          root["orders"], merkle(4, [root["instruments"], root["indices"], root["slices"], root["calls"]]),
                          root["status"], merkle(8, [root["extras"], root["timers"], root["protections"], root["triggers"], root["margin"], root["sessions"]])])

    # 8.1

    def open_account(self, owner, start):
        account = len(self.credits)
        self.credits.append(Row(cash=0, outflow=0, flags=0, key=0, holding=0, balance=0, orders=0, keys=0, holdings=0,
                                spent=0))
        self.accounts.append(Row(keys={}, holdings={}, balances={}, orders={}, fills=[], equity=None, sums={}))
        self.enter_key(account, owner, ALL, 1, start, (1 << 63) - 1)

    def enter_key(self, account, key, markets, owner, start, expiry):
        credit, slot = self.credits[account], len(self.keys)
        self.keys.append(Row(key=key, account=account, next=credit.key, markets=markets, owner=owner, start=start,
                             until=NONE, expiry=expiry, top=0, bits=0, second=0, count=0))
        self.accounts[account].keys[key] = slot
        credit.key, credit.keys = slot + 1, credit.keys + 1
        self.dirty["keys"].add(slot)
        self.dirty["credits"].add(account)

    def holding(self, account, instrument):
        found = self.accounts[account].holdings.get(instrument)
        if found is None:
            found, credit = self.holding_slots.take(), self.credits[account]
            while len(self.holdings) <= found:
                self.holdings.append(None)
            self.holdings[found] = Row(account=account, instrument=instrument, granted=0, cost=0, since=0,
                                       next=credit.holding, orders=0, fills=0)
            credit.holding, credit.holdings = found + 1, credit.holdings + 1
            self.accounts[account].holdings[instrument] = found
        self.dirty["holdings"].add(found)
        self.dirty["credits"].add(account)
        return self.holdings[found]

    def release(self, account, instrument):
        slot = self.accounts[account].holdings.get(instrument)
        if slot is None:
            return
        h, credit = self.holdings[slot], self.credits[account]
        if h.granted or h.cost or h.since or h.orders or h.fills:
            return
        if credit.holding == slot + 1:
            credit.holding = h.next
        else:
            at = credit.holding - 1
            while self.holdings[at].next != slot + 1:
                at = self.holdings[at].next - 1
            self.holdings[at].next = h.next
            self.dirty["holdings"].add(at)
        self.holdings[slot] = None
        self.holding_slots.free.add(slot)
        del self.accounts[account].holdings[instrument]
        credit.holdings -= 1
        self.dirty["holdings"].add(slot)
        self.dirty["credits"].add(account)

    def remember(self, **fields):
        while len(self.since) <= self.since_count:
            self.since.append(None)
        self.since[self.since_count] = Row(**fields)
        self.dirty["since"].add(self.since_count)
        self.since_count += 1

    # 8.2

    def open_batch(self, time, credit_batch, grants):
        need(self.time <= time <= 253402300799999, "time")
        self.time = time
        directives, moved = [], False
        for batch, head_id, body in grants:
            for account, owner in body["opened"]:
                need(account == len(self.credits), "opened account")
                self.open_account(owner, self.batch)
            self.forget(batch)
            for account, instrument, quantity, cost in body["positions"]:
                if quantity or instrument in self.accounts[account].holdings:
                    h = self.holding(account, instrument)
                    h.granted, h.cost = quantity, cost
                    self.release(account, instrument)
                    self.accounts[account].sums, self.accounts[account].equity = {}, None
            for account, flags, cash in body["accounts"]:
                self.credits[account].cash, self.credits[account].flags = cash, flags
                self.accounts[account].equity = None
                self.dirty["credits"].add(account)
            for account, asset, amount in body["balances"]:
                slot = self.accounts[account].balances.get(asset)
                if slot is None:
                    slot, credit = len(self.balances), self.credits[account]
                    self.balances.append(Row(account=account, asset=asset, granted=0, outflow=0, next=credit.balance))
                    credit.balance = slot + 1
                    self.accounts[account].balances[asset] = slot
                    self.dirty["credits"].add(account)
                self.balances[slot].granted = amount
                self.forget_margin(account)
                self.dirty["balances"].add(slot)
            for data in body["instruments"]:
                instrument = Instrument(data)
                if instrument.id == len(self.instruments):
                    self.instruments.append(instrument)
                    self.list_book(instrument)
                else:
                    resumes = self.instruments[instrument.id].status == 2 and instrument.status == 1
                    self.instruments[instrument.id] = instrument
                    if resumes and instrument.has_calls:
                        self.set_call(instrument.id, 0, 1)
                self.dirty["instruments"].add(instrument.id)
            for underlying, doubt, price, when in body["indices"]:
                self.indices[underlying] = (price, when, doubt)
                self.oracle_time = max(self.oracle_time, when)
                self.dirty["indices"].add(underlying)
            for key, value in body["slices"]:
                if key not in self.slices:
                    self.slice_order.append(key)
                self.slices[key] = value
                self.dirty["slices"].add(self.slice_order.index(key))
            for data in body["margin"]:
                self.margin, self.terms = data, Terms(data)
                self.dirty["margin"].add(0)
            moved |= bool(body["instruments"] or body["indices"] or body["slices"] or body["margin"])
            self.credit_batch, self.credit_id = batch, head_id
            directives += body["directives"]
        need(self.credit_batch == credit_batch, "credit batch")
        if moved:
            self.reprice()
            for account in self.accounts:
                account.equity, account.sums = None, {}
        for instrument in self.instruments:
            if instrument.expires and instrument.expiry <= time:
                for side in (0, 1):
                    while best := self.best(instrument.id, side):
                        self.remove(best)
                for t in [t for t in self.waiting.values() if t.action.id == instrument.id]:
                    self.drop_trigger(t)
        for _ in range(4096):
            while self.expiring and self.expiring[0][1] not in self.by_id and self.expiring[0][1] not in self.waiting:
                heapq.heappop(self.expiring)
            if not self.expiring or self.expiring[0][0] > time:
                break
            number = heapq.heappop(self.expiring)[1]
            if number in self.waiting:
                self.drop_trigger(self.waiting[number])
            else:
                self.remove(self.by_id[number])
        due = sorted(t for t in self.timers if t and t[0] <= time)
        for _, account in due[:64]:
            self.cancel_all(account, ALL)
            self.stop_timer(account)
        self.events = []
        self.bundle_bytes = 0
        for kind, side, account, number, quantity, price in directives:
            if kind == 1:
                self.cancel_all(account, ALL)
            elif number < len(self.instruments) and self.instruments[number].trades(time):
                self.cancel_all(account, number)
                self.match(account, number, side, price, 0, 2, min(quantity, self.closable(account, number, side)))
                self.release(account, number)
        self.hold_auctions()
        self.run_triggers()

    def forget(self, batch):
        kept = []
        for s in self.since[:self.since_count]:
            if s.batch > batch:
                kept.append(s)
            elif s.kind == 2 and s.subject == 0:
                self.credits[s.account].outflow -= s.quantity
                self.dirty["credits"].add(s.account)
            elif s.kind == 2:
                slot = self.accounts[s.account].balances[s.subject]
                self.balances[slot].outflow -= s.quantity
                self.forget_margin(s.account)
                self.dirty["balances"].add(slot)
            else:
                h = self.holding(s.account, s.subject)
                h.since, h.granted, h.fills = h.since - s.quantity, h.granted + s.quantity, h.fills - 1
                self.accounts[s.account].fills.remove(s)
                self.spend(s, -1)
            if s.batch <= batch:
                self.accounts[s.account].equity = None
        if len(kept) != self.since_count:
            self.dirty["since"].update(range(self.since_count))
            self.since[:self.since_count] = kept + [None] * (self.since_count - len(kept))
            self.since_count = len(kept)

    def forget_margin(self, account):
        self.accounts[account].sums, self.accounts[account].equity = {}, None

    def left(self, slot):
        """What of a balance has not left."""
        return signed(self.balances[slot].granted - self.balances[slot].outflow)

    # 8.5

    def entry(self, o, left):
        q = left if o.side == 0 else -left
        gap = min(0, q * (self.mark(o.instrument) - o.price))
        rate = max(self.instruments[o.instrument].maker, self.instruments[o.instrument].taker)
        return q, gap - (up(left * o.price * rate, ONE) if rate else 0) - 3 * MONEY

    def sums(self, account, underlying):
        found = self.accounts[account].sums.get(underlying)
        if found is None:
            found = [0] * 37
            for instrument, slot in self.accounts[account].holdings.items():
                if self.instruments[instrument].underlying == underlying:
                    h = self.holdings[slot]
                    self.add_position(found, instrument, h.granted + h.since)
            for o in self.accounts[account].orders.values():
                if self.instruments[o.instrument].underlying == underlying:
                    self.add_order(found, o, o.left, 1)
            for asset, slot in self.accounts[account].balances.items():
                if asset in self.legs and self.terms.collaterals[asset].underlying == underlying:
                    _, units, (lead, trail), _ = self.legs[asset]
                    q = self.counted(asset, self.left(slot)) * self.multiple[asset]
                    for s, unit in enumerate(units):
                        found[s] += q * unit
                    found[34] -= q * lead
                    found[35] -= q * trail
            self.accounts[account].sums[underlying] = found
        return found

    def add_position(self, sums, instrument, quantity, sign=1):
        gross = self.gross(instrument, quantity)
        for s, unit in enumerate(self.units(instrument)):
            sums[s] += sign * (quantity * unit - gross)
        beside = 0, *self.delta_columns(instrument, quantity), self.short_charge(instrument, quantity)
        for s, charge in enumerate(beside):
            sums[33 + s] -= sign * (gross + charge)

    def add_order(self, sums, o, left, sign):
        q, e = self.entry(o, left)
        sums[32] += sign * e
        e -= self.gross(o.instrument, q)
        for s, unit in enumerate(self.units(o.instrument)):
            sums[s] += sign * min(0, q * unit + e)
        sums[33] += sign * e
        for s, charge in enumerate((*self.delta_columns(o.instrument, q), self.short_charge(o.instrument, q))):
            sums[34 + s] += sign * min(0, e - charge)

    def loss(self, s):
        return min(0, s.quantity * (self.mark(s.subject) - s.price) - s.fee * MONEY)

    def spend(self, s, sign):
        credit = self.credits[s.account]
        premium = up(s.quantity * s.price, MONEY) if s.quantity > 0 and self.instruments[s.subject].kind == 1 else 0
        credit.spent = signed(credit.spent + sign * (s.fee + premium))
        self.dirty["credits"].add(s.account)

    def equity(self, account):
        a, credit = self.accounts[account], self.credits[account]
        if a.equity is None:
            a.equity = (credit.cash - credit.outflow) * MONEY + sum(map(self.loss, a.fills))
            for instrument, slot in a.holdings.items():
                h = self.holdings[slot]
                a.equity += self.mark(instrument) * h.granted - h.cost * MONEY
            a.equity += sum(self.kept(asset, self.left(slot)) for asset, slot in a.balances.items())
        return a.equity

    def room(self, account, extra=None):
        total = self.equity(account)
        for underlying in range(len(self.indices)):
            sums = self.sums(account, underlying)
            if extra and self.instruments[extra.instrument].underlying == underlying:
                sums = list(sums)
                self.add_order(sums, extra, extra.left, 1)
            total += min(sums)
        return total

    # 8.7

    def best(self, instrument, side):
        levels = self.books[instrument][side]
        if not levels:
            return None
        price = max(levels) if side == 0 else min(levels)
        return next(iter(levels[price].values()))

    def is_over(self, o):
        """Its time has passed, though no opening has taken it out yet."""
        return 0 < o.expiry <= self.time

    def show(self, o, shown):
        o.shown = shown
        self.dirty["orders"].add(o.slot)
        if o.extra is not None:
            self.dirty["extras"].add(o.extra)

    def replenish(self, o):
        """The next slice, at the back of its level."""
        o.priority, self.next_order = self.next_order, self.next_order + 1
        level = self.books[o.instrument][o.side][o.price]
        del level[o.id]
        level[o.id] = o
        self.show(o, min(o.display, o.left))

    def unlink(self, o):
        level = self.books[o.instrument][o.side][o.price]
        del level[o.id]
        if not level:
            del self.books[o.instrument][o.side][o.price]
        del self.accounts[o.account].orders[o.id]
        del self.by_id[o.id]
        if o.client:
            del self.by_client[o.account, o.client]
        if o.extra is not None:
            self.extras[o.extra] = None
            self.extra_slots.free.add(o.extra)
            self.dirty["extras"].add(o.extra)
        self.orders[o.slot] = None
        self.order_slots.free.add(o.slot)
        self.dirty["orders"].add(o.slot)
        self.credits[o.account].orders -= 1
        self.holding(o.account, o.instrument).orders -= 1

    def remove(self, o):
        sums = self.sums(o.account, self.instruments[o.instrument].underlying)
        self.add_order(sums, o, o.left, -1)
        self.unlink(o)
        self.release(o.account, o.instrument)

    def cancel_all(self, account, number, side=0, underlying=False):
        for o in list(self.accounts[account].orders.values()):
            meant = self.instruments[o.instrument].underlying == number if underlying else number in (ALL, o.instrument)
            if meant and side in (0, o.side + 1):
                self.remove(o)
        for t in [t for t in self.waiting.values() if t.account == account]:
            i = t.action.id
            meant = self.instruments[i].underlying == number if underlying else number in (ALL, i)
            if meant and side in (0, t.action.a + 1):
                self.drop_trigger(t)

    def has_room(self, trades):
        return 8 + self.bundle_bytes + 64 * (len(self.events) + 512 + trades) <= BODY_MAX

    @property
    def is_full(self):
        return not self.has_room(1)

    def closable(self, account, instrument, side):
        slot = self.accounts[account].holdings.get(instrument)
        if slot is None:
            return 0
        q = self.holdings[slot].granted + self.holdings[slot].since
        return abs(q) if q and (q > 0) == (side == 1) else 0

    def match(self, account, instrument, side, limit, order, cause, left, mode=0, held=None):
        """What is left, whether it may go on, what it filled, and whether an own order cost it something.

        Fills of quotes for what fills whole or not at all are held back, to be counted afterwards."""
        terms, filled, met = self.instruments[instrument], 0, False
        while left > 0:
            maker = self.best(instrument, 1 - side)
            if maker is None or (maker.price > limit if side == 0 else maker.price < limit) or self.is_full:
                break
            if self.is_over(maker):
                self.remove(maker)
                continue
            if maker.account == account:
                met = mode != 0
                if mode == 3:
                    size = min(left, maker.shown)
                    left -= size
                    self.lower(maker, size)
                    continue
                if mode in (0, 2):
                    self.remove(maker)
                if mode in (1, 2):
                    return left, False, filled, True
                continue
            size = min(left, maker.shown)
            if maker.reduce:
                size = min(size, self.closable(maker.account, instrument, maker.side))
                if size == 0:
                    self.remove(maker)
                    continue
            self.fill(instrument, cause, side, maker.account, account, maker.price, size, maker.id, order)
            sums = self.sums(maker.account, terms.underlying)
            self.add_order(sums, maker, maker.left, -1)
            maker.left -= size
            if maker.left:
                self.add_order(sums, maker, maker.left, 1)
                if size == maker.shown:
                    self.replenish(maker)
                else:
                    self.show(maker, maker.shown - size)
            else:
                self.unlink(maker)
            self.book(maker.account, instrument, size if maker.side == 0 else -size, maker.price, False)
            self.book(account, instrument, size if side == 0 else -size, maker.price, True)
            if maker.quote and held is not None:
                held.append((maker, instrument, size))
            elif maker.quote:
                self.count_quote(maker, instrument, size)
            left -= size
            filled += size
        return left, True, filled, met

    def lower(self, o, size):
        """Takes contracts off without a trade."""
        if size == o.left:
            return self.remove(o)
        sums = self.sums(o.account, self.instruments[o.instrument].underlying)
        self.add_order(sums, o, o.left, -1)
        o.left -= size
        self.add_order(sums, o, o.left, 1)
        if size == o.shown:
            self.replenish(o)
        else:
            self.show(o, o.shown - size)
        return None

    def fill(self, instrument, cause, side, maker, taker, price, quantity, maker_order, taker_order):
        self.events.append(struct.pack("<BBBxIQIIqqQQ8x", 1, cause, side, instrument, self.next_trade, maker, taker,
                                       price, quantity, maker_order, taker_order))
        self.next_trade += 1

    def book(self, account, instrument, quantity, price, taker):
        h = self.holding(account, instrument)
        sums = self.sums(account, self.instruments[instrument].underlying)
        self.add_position(sums, instrument, h.granted + h.since, -1)
        self.add_position(sums, instrument, h.granted + h.since + quantity)
        h.since, h.fills = h.since + quantity, h.fills + 1
        fee = self.instruments[instrument].fee(price, quantity, taker)
        self.remember(batch=self.batch, account=account, subject=instrument, quantity=quantity, price=price, fee=fee,
                      kind=1)
        a, made = self.accounts[account], self.since[self.since_count - 1]
        a.fills.append(made)
        self.spend(made, 1)
        if a.equity is not None:
            a.equity += self.loss(made)

    # 8.3, 8.4

    def good_key(self, account, key):
        slot = self.accounts[account].keys.get(key)
        if slot is None:
            return None
        k = self.keys[slot]
        return k if k.start <= self.batch < k.until and k.expiry >= self.time else None

    @staticmethod
    def is_free(k, nonce):
        return nonce > k.top or (k.top - nonce < 64 and not k.bits >> k.top - nonce & 1)

    @staticmethod
    def use(k, nonce):
        if nonce > k.top:
            rise = nonce - k.top
            k.bits = (k.bits << rise) % WORDS | 1 if rise < 64 else 1
            k.top = nonce
        else:
            k.bits |= 1 << k.top - nonce

    def sequence(self, data, place):
        account, key, nonce, expiry, _, _, _, records = bundle_header(data)
        need(account < len(self.credits), f"bundle {place}: account")
        k = self.good_key(account, key)
        lost = None if k else self.lost_session(account, key, nonce, data)
        need(k is not None or lost is not None, f"bundle {place}: key")
        need(self.time <= expiry <= self.time + self.constant["bundle_life_max_ms"], f"bundle {place}: expiry")
        second = self.time // 1000 % (1 << 32)
        if k:
            need(self.is_free(k, nonce), f"bundle {place}: nonce")
            need((k.count if k.second == second else 0) < self.constant["bundles_per_second_max"], f"bundle {place}: rate")
        if any(a.kind not in (2, 3, 15, 22) for a in actions(data)):
            ahead = self.batch - (0 if self.credit_batch == NONE else self.credit_batch + 1)
            need(ahead < self.constant["run_ahead_max"], f"bundle {place}: clearing behind")
            need(not self.is_full, f"bundle {place}: no room for trades")
        need(8 + self.bundle_bytes + len(data) + 64 * (len(self.events) + records) <= BODY_MAX, "body")
        if lost:
            self.bundle_bytes += len(data)
            self.end_session(lost)
            self.cancel_all(account, lost.scope, 0, lost.by == 1)
            return
        self.use(k, nonce)
        k.count = k.count + 1 if k.second == second else 1
        k.second = second
        self.dirty["keys"].add(self.accounts[account].keys[key])
        self.bundle_bytes += len(data)
        for action in actions(data):
            self.act(account, k, action, place)

    def in_scope(self, k, instrument):
        if k.owner or k.markets in (ALL, instrument):
            return True
        return (k.markets >> 16 == 0xFFFE and instrument < len(self.instruments)
                and self.instruments[instrument].underlying == k.markets & 0xFFFF)

    def act(self, account, k, r, place):
        scope = self.in_scope(k, r.id)
        if r.kind == 1:
            return scope and self.place(account, r)
        if r.kind == 2:
            o, t = self.named(account, r), self.named_trigger(account, r)
            return self.remove(o) if o else t and self.drop_trigger(t)
        if r.kind == 3:
            return self.cancel_all(account, r.id, r.a, r.b == 1)
        if r.kind in (15, 16, 17):
            carry = {15: self.set_timer, 16: self.protect, 17: self.mass_quote}[r.kind]
            whole = k.owner or k.markets == ALL or r.kind != 15 and k.markets == 0xFFFE0000 + r.id
            return whole and carry(account, r)
        if r.kind == 19:
            return scope and self.place_trigger(account, r)
        if r.kind == 23:
            return scope and self.place_by_volatility(account, r)
        if r.kind == 21:
            return self.session(account, r)
        if r.kind == 22:
            return None
        if r.kind == 20:
            legs = [struct.unpack_from("<IB3xqq", r.data, at) for at in range(64, len(r.data), 64)]
            if all(self.in_scope(k, leg[0]) for leg in legs):
                self.outcome(self.combine, account, r, legs)
            return None
        if r.kind == 14:
            return scope and self.replace(account, r)
        if r.kind in (11, 24):
            return self.block(account, k, r)
        if r.kind == 18:
            if (k.owner or k.markets == ALL) and self.bid(account, r):
                self.events.append(struct.pack("<BBHIII48x", 2, r.kind, 0, account, place, r.place))
            return None
        if not k.owner:
            return None
        if r.kind == 4:
            return self.add_key(account, r)
        if r.kind == 5:
            slot = self.accounts[account].keys.get(r.tail)
            if slot is not None and self.keys[slot].until == NONE and not self.keys[slot].owner:
                self.keys[slot].until = self.batch + 1
                self.dirty["keys"].add(slot)
            return None
        g = self.genesis
        custodians = [struct.unpack_from("<I", a, 20)[0] for a in g.assets]
        allowed = {6: lambda: self.withdraw(account, r),
                   7: lambda: r.id < len(custodians) and custodians[r.id] == account,
                   8: lambda: account in custodians,
                   9: lambda: account in g.publishers and (
                       r.id < len(self.instruments) and self.instruments[r.id].kind == 3 if r.a else r.id < len(g.underlyings)),
                   10: lambda: account in g.publishers and r.id < len(g.underlyings),
                   12: lambda: account in g.members, 13: lambda: account in g.members,
                   26: lambda: account in g.members}
        if allowed[r.kind]():
            self.events.append(struct.pack("<BBHIII48x", 2, r.kind, 0, account, place, r.place))
        return None

    def add_key(self, account, r):
        if not acceptable(r.tail):
            return
        slot = self.accounts[account].keys.get(r.tail)
        if slot is not None:
            k = self.keys[slot]
            if k.until <= self.batch and not k.owner:
                k.start, k.until, k.expiry, k.markets = self.batch + 1, NONE, r.x, r.id
                self.dirty["keys"].add(slot)
        elif self.credits[account].keys < self.constant["keys_per_account_max"]:
            self.enter_key(account, r.tail, r.id, 0, self.batch + 1, r.x)

    def bid(self, account, r):
        return (r.id < len(self.credits) and r.id != account and not self.is_frozen(account) and self.is_frozen(r.id)
                and self.debit_cash(account, r.x))

    def is_frozen(self, account):
        return self.credits[account].flags & 2

    def debit_cash(self, account, amount):
        if self.is_stale(account) or amount > self.free_cash(account) or self.room(account) < amount * MONEY:
            return False
        self.credits[account].outflow += amount
        self.accounts[account].equity = None
        self.dirty["credits"].add(account)
        self.remember(batch=self.batch, account=account, subject=0, quantity=amount, price=0, fee=0, kind=2)
        return True

    def withdraw(self, account, r):
        if r.id >= len(self.genesis.assets) or self.is_frozen(account):
            return False
        if r.id == 0:
            return r.x >= self.constant["withdrawal_min"] and self.debit_cash(account, r.x)
        else:
            slot, credit = self.accounts[account].balances.get(r.id), self.credits[account]
            if slot is None or r.x > self.left(slot):
                return False
            judged = r.id in self.legs and (self.accounts[account].holdings or credit.cash < credit.outflow)
            if judged:
                when = self.indices[self.terms.collaterals[r.id].underlying][1]
                if self.is_stale(account) or self.time - when > self.constant["grant_age_max_ms"]:
                    return False
            self.balances[slot].outflow += r.x
            self.forget_margin(account)
            if judged and self.room(account) < 0:
                self.balances[slot].outflow -= r.x
                self.forget_margin(account)
                return False
            self.dirty["balances"].add(slot)
        self.remember(batch=self.batch, account=account, subject=r.id, quantity=r.x, price=0, fee=0, kind=2)
        return True

    def is_stale(self, account):
        held = [(i, self.holdings[slot]) for i, slot in self.accounts[account].holdings.items()]
        return any(self.time - self.mark_time(i) > self.constant["grant_age_max_ms"]
                   for i, h in held if h.granted + h.since or h.orders)

    def free_cash(self, account):
        a, credit = self.accounts[account], self.credits[account]
        if credit.spent < 0:
            return 0
        losses = -sum(map(self.loss, a.fills))
        for i, slot in a.holdings.items():
            h = self.holdings[slot]
            if h.fills:
                losses += max(0, h.cost * MONEY - self.mark(i) * h.granted)
        return credit.cash - credit.outflow - credit.spent - up(losses, MONEY)

    # 8.6

    def check_terms(self, instrument, price, quantity):
        if instrument >= len(self.instruments):
            raise Refused(1)
        i = self.instruments[instrument]
        if i.expires and i.expiry <= self.time or i.status == 3:
            raise Refused(3)
        if i.status != 1:
            raise Refused(2)
        for wrong, *why in ((price % i.tick, 4, price, i.tick), (price > i.price_max, 7, price, i.price_max),
                            (quantity % i.lot, 5, quantity, i.lot), (quantity > i.size_max, 6, quantity, i.size_max),
                            (self.values[instrument] is None, 16)):
            if wrong:
                raise Refused(*why)

    def has_terms(self, instrument, price, quantity):
        return allows(self.check_terms, instrument, price, quantity)

    def band(self, instrument):
        i = self.instruments[instrument]
        if not i.band:
            return i.tick, i.price_max
        mark, width = self.mark(instrument), self.indices[i.underlying][0] * i.band // ONE
        low, high = -(-max(0, mark - width) // i.tick) * i.tick, (mark + width) // i.tick * i.tick
        return max(i.tick, min(low, i.price_max)), max(i.tick, min(high, i.price_max))

    def check_band(self, instrument, side, price):
        low, high = self.band(instrument)
        if price > high if side == 0 else price < low:
            raise Refused(33, price, high if side == 0 else low)

    def is_in_band(self, instrument, side, price):
        return allows(self.check_band, instrument, side, price)

    def named(self, account, r):
        o = self.by_id.get(r.z) if r.a == 0 else self.by_client.get((account, r.z))
        return o if o and o.account == account and o.instrument == r.id else None

    def check_display(self, instrument, display, quantity):
        lot = self.instruments[instrument].lot
        if display % lot:
            raise Refused(5, display, lot)
        if display and display * 64 < quantity:
            raise Refused(35, display, -(-quantity // 64))

    def is_shown_enough(self, instrument, display, quantity):
        return allows(self.check_display, instrument, display, quantity)

    def slide(self, r, side, price):
        """A post-only order's price, None where it would take."""
        best = self.best(r.id, 1 - side)
        if not r.c & 1 or not best or (best.price > price if side == 0 else best.price < price):
            return price
        i = self.instruments[r.id]
        price = best.price - i.tick if side == 0 else best.price + i.tick
        return price if r.c & 4 and 0 < price <= i.price_max else None

    def admits(self, *order):
        return allows(self.admit, *order)

    def admit(self, account, instrument, side, price, quantity, reduce, old=None):
        credit, a = self.credits[account], self.accounts[account]
        if self.is_frozen(account):
            raise Refused(39)
        freed = 1 if old else 0
        most = self.constant["open_orders_per_account_max"]
        if credit.orders - freed >= most:
            raise Refused(11, credit.orders, most)
        if len(self.by_id) + len(self.waiting) - freed >= 1 << 24:
            raise Refused(11, len(self.by_id) + len(self.waiting), 1 << 24)
        most = self.constant["positions_per_account_max"]
        if instrument not in a.holdings and credit.holdings >= most:
            raise Refused(15, credit.holdings, most)
        self.check_size(account, instrument, side, quantity, reduce, old)
        o = Row(instrument=instrument, side=side, price=price, left=quantity)
        before = self.room(account)
        sums = self.sums(account, self.instruments[instrument].underlying)
        if old:
            self.add_order(sums, old, old.left, -1)
        after = self.room(account, o)
        still = self.equity(account) + sum(self.sums(account, u)[32] for u in range(len(self.indices)))
        if old:
            self.add_order(sums, old, old.left, 1)
        if after >= before:
            still += self.entry(o, quantity)[1]
            if after < 0 and still < 0:
                raise Refused(10, floored(still), floored(before))
            return
        age, oldest = self.time - self.mark_time(instrument), self.constant["grant_age_max_ms"]
        if age > oldest:
            raise Refused(17, age, oldest)
        if after < 0:
            raise Refused(10, floored(after), floored(before))

    def check_size(self, account, instrument, side, quantity, reduce, old=None):
        a = self.accounts[account]
        resting = sum(o.left for o in a.orders.values() if o.instrument == instrument and o.side == side and o is not old)
        if reduce or self.credits[account].flags & 1:
            reducible = max(0, self.closable(account, instrument, side) - resting)
            if quantity > reducible:
                raise Refused(13, reducible, quantity)
        if instrument in a.holdings:
            h = self.holdings[a.holdings[instrument]]
            position = h.granted + h.since if side == 0 else -h.granted - h.since
            limit = 64 * self.instruments[instrument].size_max
            if position + resting + quantity > limit:
                raise Refused(6, quantity, max(0, limit - position - resting))

    def available(self, account, instrument, side, limit, quantity, mode):
        """What a fill-or-kill order would surely find, at most how many fills that takes, what it costs and
        the worst price in that."""
        levels, there, fills, cost, worst = self.books[instrument][1 - side], 0, 0, 0, 0

        def take(found):
            nonlocal there, cost, worst
            wanted = min(found, quantity - there)
            there += found
            if wanted > 0:
                cost, worst = cost + wanted * price, price

        for price in sorted(levels, reverse=side == 1):
            if price > limit if side == 0 else price < limit:
                break
            alive = [o for o in levels[price].values() if not self.is_over(o)]
            for o in alive:
                if o.account == account:
                    if mode in (1, 2):
                        return there, fills, cost, worst
                    continue
                fills = fills + 1
                take(0 if o.reduce else o.shown)
                if there >= quantity:
                    return there, fills, cost, worst
            for o in alive:
                if o.account != account and o.left > o.shown:
                    fills += -(-(o.left - o.shown) // o.display)
                    take(0 if o.reduce else o.left - o.shown)
            if there >= quantity:
                break
        return there, fills, cost, worst

    @staticmethod
    def fingerprint(r):
        value = 0
        for word in struct.unpack("<8Q", r.data[:64]):
            value = (value ^ word) * 0x9E3779B97F4A7C15 % WORDS
            value ^= value >> 32
        return value % (1 << 32)

    def client_in_use(self, account, client):
        return bool(client) and ((account, client) in self.by_client or any(
            t.account == account and t.action.z == client for t in self.waiting.values()))

    def place(self, account, r):
        if not self.client_in_use(account, r.z):
            self.outcome(self.place_new, account, r, self.fingerprint(r))

    @staticmethod
    def outcome(carry, *arguments):
        """Status, code, figures, order."""
        try:
            return carry(*arguments)
        except Refused as why:
            return (2, *why.args, 0, 0, 0)[:4] + (0,)

    def place_new(self, account, r, word, given=None):
        asked = r.x if given is None else given
        self.check_terms(r.id, asked, r.y)
        expiry, display = struct.unpack_from("<qq", r.tail)
        price, (low, high) = asked, self.band(r.id)
        if r.c & 8:
            price = max(price, low) if r.a else min(price or high, high)
        else:
            self.check_band(r.id, r.a, price)
        if r.b == 3 and expiry <= self.time:
            raise Refused(34, expiry, self.time)
        self.check_display(r.id, display, r.y)
        if self.is_full:
            raise Refused(31)
        slid = self.slide(r, r.a, price)
        if slid is None:
            raise Refused(8, price, self.best(r.id, 1 - r.a).price)
        return self.enter(account, r, r.a, slid, r.b, r.c & 2, r.z, expiry, display, word=word)

    def enter(self, account, r, side, price, force, reduce, client, expiry, display, old=None, quote=False, word=None):
        """The outcome."""
        mode = r.tail[24]
        if self.calls[r.id][1]:
            return self.gather(account, r, side, price, force, reduce, client, expiry, display, old, quote, word)
        self.admit(account, r.id, side, price, r.y, reduce, old)
        if force == 2:
            there, fills, _, _ = self.available(account, r.id, side, price, r.y, mode)
            if there < r.y:
                raise Refused(9, r.y, there)
            if not self.has_room(fills):
                raise Refused(31)
        if old:
            self.remove(old)
        order = self.new_order_id()
        held = [] if force == 2 else None
        left, goes_on, filled, met = self.match(account, r.id, side, price, order, 0, r.y, mode, held)
        for fill in held or ():
            self.count_quote(*fill)
        status, code = 1 if filled else 0, 25 if met else 0
        if not left or force in (1, 2) or not goes_on or self.is_full:
            self.release(account, r.id)
            return status, code, filled, 0, order
        self.rest(account, r, side, price, force, reduce, client, expiry, display, quote, word, order, left)
        return 0, code, filled, left, order

    def new_order_id(self):
        number, self.next_order = self.next_order, self.next_order + 1
        return number << 20 | self.order_slots.lowest() % 2**20

    def rest(self, account, r, side, price, force, reduce, client, expiry, display, quote, word, order, left):
        slot = order % 2**20
        while not self.order_slots.is_free(slot):
            slot += 2**20
        self.order_slots.mark(slot)
        while len(self.orders) <= slot:
            self.orders.append(None)
        shown = min(display, left) if display else left
        o = Row(id=order, client=client, price=price, left=left, shown=shown, account=account, instrument=r.id,
                side=side, reduce=int(bool(reduce or self.credits[account].flags & 1)), slot=slot,
                print=(word or self.fingerprint(r)) if client else 0, expiry=expiry, display=display if shown < left else 0,
                priority=0, extra=None, quote=quote)
        if force == 3 or shown < left:
            o.extra = self.extra_slots.take()
            while len(self.extras) <= o.extra:
                self.extras.append(None)
            self.extras[o.extra] = o
            self.dirty["extras"].add(o.extra)
        if expiry:
            heapq.heappush(self.expiring, (expiry, order))
        sums = self.sums(account, self.instruments[r.id].underlying)
        self.orders[slot] = o
        self.books[r.id][side].setdefault(price, {})[order] = o
        self.accounts[account].orders[order] = o
        self.by_id[order] = o
        if client:
            self.by_client[account, client] = o
        self.add_order(sums, o, left, 1)
        self.holding(account, r.id).orders += 1
        self.credits[account].orders += 1
        self.dirty["orders"].add(slot)

    # Calls and auctions: 8.13

    def list_book(self, instrument):
        self.books.append(({}, {}))
        self.calls.append((0, 0))
        self.set_call(instrument.id, 0, int(instrument.has_calls))

    def set_call(self, instrument, end, gathers):
        self.calls[instrument] = (end, gathers)
        self.dirty["calls"].add(instrument)

    def gather(self, account, r, side, price, force, reduce, client, expiry, display, old, quote, word):
        if force in (1, 2):
            raise Refused(45, self.calls[r.id][0], self.time)
        self.admit(account, r.id, side, price, r.y, reduce, old)
        if old:
            self.remove(old)
        order = self.new_order_id()
        left, mode, met, stopped = r.y, r.tail[24], False, False
        for own in list(self.accounts[account].orders.values()):
            if left == 0 or stopped:
                break
            if own.instrument != r.id or own.side == side or (own.price > price if side == 0 else own.price < price):
                continue
            if self.is_over(own):
                self.remove(own)
                continue
            met = mode != 0
            if mode in (0, 2):
                self.remove(own)
            stopped = mode in (1, 2)
            while mode == 3 and left and own.id in self.by_id:
                size = min(left, own.shown)
                left -= size
                self.lower(own, size)
        if left == 0 or stopped:
            self.release(account, r.id)
            return 0, 25 if met else 0, 0, 0, order
        self.rest(account, r, side, price, force, reduce, client, expiry, display, quote, word, order, left)
        return 0, 25 if met else 0, 0, left, order

    def hold_auctions(self):
        for i in self.instruments:
            end, gathers = self.calls[i.id]
            if not gathers or not i.trades(self.time):
                continue
            if end == 0:
                if self.values[i.id] is not None:
                    self.set_call(i.id, self.time + (i.opening or i.interval), 1)
            elif end <= self.time and self.uncross(i):
                self.set_call(i.id, self.time + i.interval if i.interval else 0, 1 if i.interval else 0)

    def uncross(self, i):
        bids, asks = self.books[i.id]
        if bids and asks:
            high, low = max(bids), min(asks)
            crossing = [o for p, level in bids.items() if p >= low for o in level.values()]
            crossing += [o for p, level in asks.items() if p <= high for o in level.values()]
            for o in crossing if low <= high else []:
                if self.is_over(o):
                    self.remove(o)
        while bids and asks and min(asks) <= max(bids):
            price = self.auction_price(i)
            while bids and asks and max(bids) >= price >= min(asks):
                if self.is_full:
                    return False
                first, second = sorted((self.best(i.id, 0), self.best(i.id, 1)), key=lambda o: o.priority or o.id >> 20)
                if first.account == second.account:
                    self.remove(second)
                    continue
                sizes = [min(o.shown, self.closable(o.account, i.id, o.side)) if o.reduce else o.shown
                         for o in (first, second)]
                for o, size in zip((first, second), sizes):
                    if size == 0:
                        self.remove(o)
                if min(sizes):
                    self.trade_at(i.id, first, second, price, min(sizes))
        return True

    def auction_price(self, i):
        bids, asks = ({p: sum(o.left for o in level.values()) for p, level in side.items()} for side in self.books[i.id])
        low, high, mark = min(asks), max(bids), self.mark(i.id)
        # Between these nothing changes but the distance to the mark.
        prices = {p for p in (*bids, *asks, *(b + i.tick for b in bids), *(a - i.tick for a in asks)) if low <= p <= high}
        demand = {p: sum(q for b, q in bids.items() if b >= p) for p in prices}
        supply = {p: sum(q for a, q in asks.items() if a <= p) for p in prices}
        best = min((-min(demand[p], supply[p]), abs(demand[p] - supply[p])) for p in prices)
        found = [p for p in prices if (-min(demand[p], supply[p]), abs(demand[p] - supply[p])) == best]
        below = mark // i.tick * i.tick
        nearest = below if mark - below <= below + i.tick - mark else below + i.tick
        return max(min(found), min(max(found), nearest))

    def trade_at(self, instrument, maker, taker, price, size):
        self.fill(instrument, 3, taker.side, maker.account, taker.account, price, size, maker.id, taker.id)
        for o, is_taker in ((maker, False), (taker, True)):
            sums = self.sums(o.account, self.instruments[instrument].underlying)
            self.add_order(sums, o, o.left, -1)
            o.left -= size
            if o.left:
                self.add_order(sums, o, o.left, 1)
                if size == o.shown:
                    self.replenish(o)
                else:
                    self.show(o, o.shown - size)
            else:
                self.unlink(o)
        for o, is_taker in ((maker, False), (taker, True)):
            self.book(o.account, instrument, size if o.side == 0 else -size, price, is_taker)
        for o in (maker, taker):
            if o.quote:
                self.count_quote(o, instrument, size)

    # Orders quoted in volatility: 8.16

    def place_by_volatility(self, account, r):
        if self.client_in_use(account, r.z) or r.id >= len(self.instruments):
            return
        i = self.instruments[r.id]
        found = self.slices.get((i.underlying, i.expiry)) if i.kind == 1 else None
        if not found:
            return
        exact = black(i.call, found[0], i.strike, deviation(r.x, max(0, i.expiry - found[2])))
        price = max(1, -(-exact // i.tick)) * i.tick if r.a else exact // i.tick * i.tick
        if price:
            self.outcome(self.place_new, account, r, self.fingerprint(r), min(price, (1 << 63) - 1))

    # Combinations: 8.14

    def combine(self, account, r, legs):
        mode, orders = r.b, []
        for instrument, side, quantity, price in legs:
            self.check_terms(instrument, price, quantity)
            low, high = self.band(instrument)
            price = price or (low if side else high)
            self.check_band(instrument, side, price)
            if self.calls[instrument][1]:
                raise Refused(45, self.calls[instrument][0], self.time)
            orders.append(Row(instrument=instrument, side=side, price=price, left=quantity))
        if self.is_full:
            raise Refused(31)
        self.check_limits(account, orders)
        net, count = 0, 0
        for o in orders:
            there, fills, cost, worst = self.available(account, o.instrument, o.side, o.price, o.left, mode)
            if there < o.left:
                raise Refused(9, o.left, there)
            net, count, o.price = net + (-cost if o.side else cost), count + fills, worst
        if not self.has_room(count):
            raise Refused(31)
        if net > r.x * MONEY:
            raise Refused(46, -(-net // MONEY), r.x)
        self.admit_whole(account, orders, count)
        number = self.new_order_id()
        first, held = len(self.events), []
        for o in orders:
            self.match(account, o.instrument, o.side, o.price, number, 0, o.left, mode, held)
        for fill in held:
            self.count_quote(*fill)
        paid = 0
        for event in self.events[first:]:
            side, price, quantity = event[2], *struct.unpack_from("<qq", event, 24)
            paid += -price * quantity if side else price * quantity
        return 1, 0, -(-paid // MONEY), 0, number

    def check_limits(self, account, orders):
        if self.is_frozen(account):
            raise Refused(39)
        holdings, most = self.credits[account].holdings, self.constant["positions_per_account_max"]
        for o in orders:
            if o.instrument not in self.accounts[account].holdings:
                if holdings >= most:
                    raise Refused(15, holdings, most)
                holdings += 1
            self.check_size(account, o.instrument, o.side, o.left, False)

    def admit_whole(self, account, orders, fills):
        before, lost = self.room(account), -3 * MONEY * (fills - len(orders))
        still = self.equity(account) + sum(self.sums(account, u)[32] for u in range(len(self.indices)))
        for o in orders:
            lost += self.entry(o, o.left)[1]
            self.hold(account, o, 0, 1)
        after = self.room(account) + lost
        for o in orders:
            self.hold(account, o, 1, 0)
        if after >= before:
            if after < 0 and still + lost < 0:
                raise Refused(10, floored(still + lost), floored(before))
            return
        for o in orders:
            age, oldest = self.time - self.mark_time(o.instrument), self.constant["grant_age_max_ms"]
            if age > oldest:
                raise Refused(17, age, oldest)
        if after < 0:
            raise Refused(10, floored(after), floored(before))

    def hold(self, account, o, before, after):
        """Moves the sums from the position without the leg, or with it, to the other."""
        slot = self.accounts[account].holdings.get(o.instrument)
        now = self.holdings[slot].granted + self.holdings[slot].since if slot is not None else 0
        leg = -o.left if o.side else o.left
        sums = self.sums(account, self.instruments[o.instrument].underlying)
        self.add_position(sums, o.instrument, now + before * leg, -1)
        self.add_position(sums, o.instrument, now + after * leg)

    # Sessions: 8.15

    def lost_session(self, account, key, nonce, data):
        """The open session the sequencer says it lost."""
        found, session = list(actions(data)), self.consents.get(nonce)
        consented = key == self.genesis.keys[0] and len(found) == 1 and found[0].kind == 22 and found[0].z == nonce
        return session if consented and session and session.account == account else None

    def session(self, account, r):
        if r.a:
            s = self.consents.get(r.z)
            if s and s.account == account:
                self.end_session(s)
            return
        if sum(s.account == account for s in self.consents.values()) >= 16:
            return
        slot = self.session_slots.take()
        while len(self.sessions) <= slot:
            self.sessions.append(None)
        s = self.sessions[slot] = Row(number=self.next_order, account=account, scope=r.id, by=r.b, slot=slot)
        self.next_order += 1
        self.consents[s.number] = s
        self.dirty["sessions"].add(slot)

    def end_session(self, s):
        self.sessions[s.slot] = None
        self.session_slots.free.add(s.slot)
        self.dirty["sessions"].add(s.slot)
        del self.consents[s.number]

    # Triggers: 8.12

    def named_trigger(self, account, r):
        found = [t for t in self.waiting.values() if (t.id == r.z if r.a == 0 else r.z and t.action.z == r.z)
                 and t.account == account and t.action.id == r.id]
        return found[0] if found else None

    def drop_trigger(self, t):
        self.triggers[t.slot] = None
        self.trigger_slots.free.add(t.slot)
        self.dirty["triggers"].add(t.slot)
        del self.waiting[t.id]
        self.credits[t.account].orders -= 1
        self.dirty["credits"].add(t.account)

    def is_reached(self, action):
        """None where there is nothing to compare with."""
        if action.c & 16:
            now = self.indices[self.instruments[action.id].underlying][0] or None
        else:
            now = self.mark(action.id) if self.values[action.id] else None
        price = self.trigger_price(action)
        return None if now is None else now <= price if action.c & 32 else now >= price

    @staticmethod
    def trigger_price(action):
        return struct.unpack_from("<q", action.tail, 16)[0]

    def places_triggers(self, i):
        return i.trades(self.time) and (not self.calls[i.id][1] or i.interval)

    def place_trigger(self, account, r):
        expiry, display = struct.unpack_from("<qq", r.tail)
        if self.client_in_use(account, r.z) or self.is_frozen(account) or not self.has_terms(r.id, r.x, r.y):
            return
        if r.b in (1, 2) and self.instruments[r.id].interval or expiry and expiry <= self.time:
            return
        if not self.is_shown_enough(r.id, display, r.y):
            return
        if self.credits[account].orders >= self.constant["open_orders_per_account_max"]:
            return
        if len(self.by_id) + len(self.waiting) >= 1 << 24 or self.is_reached(r) is not False:
            return
        slot = self.trigger_slots.take()
        while len(self.triggers) <= slot:
            self.triggers.append(None)
        t = self.triggers[slot] = Row(id=self.new_order_id(), account=account, reached=0, action=r, slot=slot)
        self.waiting[t.id] = t
        if expiry:
            heapq.heappush(self.expiring, (expiry, t.id))
        self.credits[account].orders += 1
        self.dirty["triggers"].add(slot)
        self.dirty["credits"].add(account)

    def run_triggers(self):
        found = []
        for t in self.waiting.values():
            r = t.action
            if not t.reached and self.places_triggers(self.instruments[r.id]) and self.is_reached(r):
                falls = r.c >> 5 & 1
                price = self.trigger_price(r)
                found.append((r.id, falls, r.c >> 4 & 1, -price if falls else price, t.id))
        for *_, number in sorted(found)[:4096]:
            t = self.waiting[number]
            t.reached = self.batch + 1
            self.dirty["triggers"].add(t.slot)
        due = sorted((t.reached, t.action.id, t.id) for t in self.waiting.values() if t.reached)
        for _, _, number in due[:256]:
            if self.is_full:
                break
            t = self.waiting[number]
            if not self.places_triggers(self.instruments[t.action.id]):
                t.reached = 0
                self.dirty["triggers"].add(t.slot)
                continue
            self.drop_trigger(t)
            status, code, one, two, order = self.outcome(self.place_reached, t)
            self.events.append(struct.pack("<BBHIQQIIQqq8x", 3, status, code, t.action.id, t.id, order, t.account,
                                           len(self.events), t.action.z, one, two))

    def place_reached(self, t):
        r = t.action
        expiry, = struct.unpack_from("<q", r.tail)
        if expiry and expiry <= self.time:
            raise Refused(34, expiry, self.time)
        tail = (r.tail[:8] if r.b == 3 else bytes(8)) + r.tail[8:16] + bytes(8) + r.tail[24:]
        order = Row(id=r.id, a=r.a, b=r.b, c=r.c & 15, x=r.x, y=r.y, z=r.z, tail=tail)
        return self.place_new(t.account, order, self.fingerprint(r))

    # Timers, protections and quotes: 8.10 to 8.12

    def set_timer(self, account, r):
        if not r.x:
            return self.stop_timer(account)
        slot = self.timer_of.get(account)
        if slot is None:
            slot = self.timer_of[account] = self.timer_slots.take()
            while len(self.timers) <= slot:
                self.timers.append(None)
        self.timers[slot] = (self.time + r.x, account)
        self.dirty["timers"].add(slot)
        return None

    def stop_timer(self, account):
        slot = self.timer_of.pop(account, None)
        if slot is not None:
            self.timers[slot] = None
            self.timer_slots.free.add(slot)
            self.dirty["timers"].add(slot)

    def protect(self, account, r):
        if r.id >= len(self.indices):
            return
        slot = self.protection_of.get((account, r.id))
        if r.a or not r.x:
            if slot is None:
                return
            p = self.protections[slot]
            if r.a:
                p.start, p.sums, p.until = 0, [0] * 4, 0
            else:
                self.protections[slot] = None
                self.protection_slots.free.add(slot)
                del self.protection_of[account, r.id]
        else:
            if slot is None:
                slot = self.protection_of[account, r.id] = self.protection_slots.take()
                while len(self.protections) <= slot:
                    self.protections.append(None)
                self.protections[slot] = Row(account=account, underlying=r.id, until=0)
            p = self.protections[slot]
            p.window, p.frozen, p.limits = r.x, r.y, [r.z, *struct.unpack_from("<3q", r.tail)]
            p.start, p.sums = 0, [0] * 4
        self.dirty["protections"].add(slot)

    def count_quote(self, maker, instrument, size):
        underlying = self.instruments[instrument].underlying
        slot = self.protection_of.get((maker.account, underlying))
        if slot is None:
            return
        p, (delta, vega) = self.protections[slot], self.greeks(instrument)
        q = size if maker.side == 0 else -size
        if not p.start or self.time - p.start >= p.window:
            p.start, p.sums = self.time, [0] * 4
        change = [1, size, q * delta // ONE, q * vega // MONEY]
        p.sums = [max(-1 << 63, min((1 << 63) - 1, a + b)) for a, b in zip(p.sums, change)]
        if any(limit and abs(value) >= limit for value, limit in zip(p.sums, p.limits)):
            p.start, p.sums = 0, [0] * 4
            p.until = self.time + p.frozen if p.frozen else (1 << 63) - 1
            for o in list(self.accounts[maker.account].orders.values()):
                if o.quote and self.instruments[o.instrument].underlying == underlying:
                    self.remove(o)
        self.dirty["protections"].add(slot)

    def mass_quote(self, account, r):
        if r.id >= len(self.indices):
            return
        slot = self.protection_of.get((account, r.id))
        if slot is not None:
            if self.protections[slot].until > self.time:
                return
            self.protections[slot].until = 0
            self.dirty["protections"].add(slot)
        wanted, numbers = {}, set()
        for at in range(64, len(r.data), 64):
            number, bid, bids, ask, asks = struct.unpack_from("<I4x4q", r.data, at)
            numbers.add(number)
            wanted.update({(number, side): (price, quantity)
                           for side, price, quantity in ((0, bid, bids), (1, ask, asks)) if quantity})
        kept = set()
        for o in list(self.accounts[account].orders.values()):
            i, key = self.instruments[o.instrument], (o.instrument, o.side)
            if not o.quote or i.underlying != r.id or not (r.a & 1 or o.instrument in numbers):
                continue
            price, quantity = wanted.get(key, (0, 0))
            if (price != o.price or quantity > o.left or key in kept or not i.trades(self.time) or quantity % i.lot):
                self.remove(o)
                continue
            kept.add(key)
            if quantity != o.left:
                self.lower(o, o.left - quantity)
        for (number, side), (price, quantity) in wanted.items():
            if (number, side) in kept or not self.has_terms(number, price, quantity):
                continue
            if self.instruments[number].underlying != r.id or not self.is_in_band(number, side, price) or self.is_full:
                continue
            order = Row(id=number, y=quantity, c=(0, 0, 1, 1, 0, 0, 5, 5)[r.a], tail=bytes(24) + bytes([r.b]) + bytes(7))
            price = self.slide(order, side, price)
            if price is not None:
                self.outcome(lambda: self.enter(account, order, side, price, 0, 0, 0, 0, 0, quote=True))

    def replace(self, account, r):
        o = self.named(account, r)
        client, expected = struct.unpack_from("<Qq", r.tail)
        if not o or self.is_over(o) or expected not in (0, o.left) or not self.has_terms(r.id, r.x, r.y):
            return
        client = client or o.client
        if client != o.client and self.client_in_use(account, client):
            return
        if r.x == o.price and r.y <= o.left:
            sums = self.sums(account, self.instruments[r.id].underlying)
            self.add_order(sums, o, o.left, -1)
            o.left = r.y
            self.add_order(sums, o, o.left, 1)
            if client != o.client:
                self.by_client.pop((account, o.client), None)
                self.by_client[account, client] = o
            o.client, o.print = client, self.fingerprint(r) if client else 0
            self.show(o, min(o.shown, o.left))
            return
        if not self.is_in_band(r.id, o.side, r.x) or not self.is_shown_enough(r.id, o.display, r.y) or self.is_full:
            return
        price = self.slide(r, o.side, r.x)
        if price is not None:
            self.outcome(lambda: self.enter(account, r, o.side, price, 3 if o.expiry else 0, o.reduce, client, o.expiry,
                                            o.display, o, o.quote))

    # 8.9

    def block(self, account, k, r):
        legs = [struct.unpack_from("<xB2xIqq", r.data, at) for at in range(0, 128 if r.kind == 24 else 64, 64)]
        terms, rest = r.data[:64 * len(legs)], r.data[64 * len(legs):]
        if not all(self.in_scope(k, leg[1]) for leg in legs):
            return
        other, key, nonce, expiry, flags, count, digest, records = bundle_header(rest[:96])
        if other == account or other >= len(self.credits):
            return
        theirs = self.good_key(other, key)
        if not theirs or not all(self.in_scope(theirs, leg[1]) for leg in legs):
            return
        if not self.time <= expiry <= self.time + self.constant["bundle_life_max_ms"] or not self.is_free(theirs, nonce):
            return
        for _, instrument, price, quantity in legs:
            if not self.has_terms(instrument, price, quantity) or not all(
                    self.is_in_band(instrument, side, price) for side in (0, 1)):
                return
        if len(legs) == 2:
            first, hedge = (self.instruments[leg[1]] for leg in legs)
            if hedge.kind == 1 or hedge.underlying != first.underlying:
                return
        if sha(terms) != digest or flags or count != 1 or records != len(legs):
            return
        if not is_signed(key, object_id("novate/block/1", self.genesis.network, rest[:96]), rest[96:160]):
            return
        for party in (account, other):
            if not self.admits_legs(party, [(i, side if party == account else 1 - side, price, quantity)
                                            for side, i, price, quantity in legs]):
                return
        self.use(theirs, nonce)
        self.dirty["keys"].add(self.accounts[other].keys[key])
        for side, instrument, price, quantity in legs:
            self.fill(instrument, 1, side, other, account, price, quantity, 0, 0)
            size = -quantity if side else quantity
            self.book(other, instrument, -size, price, False)
            self.book(account, instrument, size, price, True)

    def admits_legs(self, account, legs):
        """One leg as an order, two as a combination whose every leg has one fill."""
        if len(legs) == 1:
            return self.admits(account, *legs[0], 0)
        orders = [Row(instrument=i, side=side, price=price, left=quantity) for i, side, price, quantity in legs]
        return allows(self.check_limits, account, orders) and allows(self.admit_whole, account, orders, len(orders))
