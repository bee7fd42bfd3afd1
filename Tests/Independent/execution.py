"""Section 8 of Docs/Protocol.md: execution."""

import heapq
import struct

from books import Books
from calls import Calls
from makers import Makers
from placing import Placing
from pricing import MONEY, WORDS, Terms, signed, up
from owners import Owners
from records import BODY_MAX, Instrument, Market, Pool, Row, Slots, actions, bundle_header
from refusals import allows
from signatures import acceptable, is_signed
from verify import ALL, NONE, ZERO, merkle, need, object_id, sha


class Execution(Books, Placing, Calls, Makers, Owners, Market):
    def __init__(self, genesis):
        super().__init__(genesis)
        self.keys, self.credits, self.holdings, self.balances, self.since, self.orders = [], [], [], [], [], []
        self.pools = {name: Pool(size, page) for name, size, page in (
            ("keys", 96, 16), ("credits", 48, 16), ("holdings", 48, 16), ("balances", 32, 16), ("since", 48, 16),
            ("orders", 48, 16), ("extras", 48, 16), ("timers", 16, 16), ("protections", 128, 16), ("triggers", 96, 16), ("calls", 16, 16), ("sessions", 32, 16), ("instruments", 128, 1),
            ("indices", 24, 1), ("slices", 72, 1), ("status", 128, 1), ("margin", 2048, 1))}
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
        self.begin_owners()
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

    def open_account(self, owner, start, mode=0):
        account = len(self.credits)
        self.note_owner(account, owner)
        self.credits.append(Row(cash=0, outflow=0, flags=mode, key=0, holding=0, balance=0, orders=0, keys=0, holdings=0,
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
            for account, mode, owner in body["opened"]:
                need(account == len(self.credits) and mode in (0, 4, 8), "opened account")
                self.open_account(owner, self.batch, mode)
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
        allowed = {6: lambda: self.withdraw(account, r), 28: lambda: self.send(account, r),
                   27: lambda: self.main_of[account] == account and len(self.group(account)) < 64,
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
        return (r.id < len(self.credits) and self.main_of[r.id] != self.main_of[account] and not self.is_frozen(account)
                and not self.is_isolated(account) and self.is_frozen(r.id) and self.debit_cash(account, r.x))

    def is_isolated(self, account):
        return self.credits[account].flags & 8

    def positions_max(self, account):
        return 1 if self.is_isolated(account) else self.constant["positions_per_account_max"]

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
        return (r.id or r.x >= self.constant["withdrawal_min"]) and self.take_out(account, r)

    def send(self, account, r):
        return (r.id < len(self.genesis.assets) and r.z < len(self.credits) and r.z != account
                and self.main_of[r.z] == self.main_of[account] and not self.is_frozen(account) and self.take_out(account, r))

    def take_out(self, account, r):
        if r.id == 0:
            return self.debit_cash(account, r.x)
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
