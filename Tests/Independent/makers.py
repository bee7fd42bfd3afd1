"""8.10, 8.12 and what else of section 8 is more than one order: volatility, combinations, sessions, triggers, timers, quotes."""

import heapq
import struct

from pricing import MONEY, ONE, black, deviation
from records import Row, actions
from refusals import Refused, floored


class Makers:
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
        holdings, most = self.credits[account].holdings, self.positions_max(account)
        for o in orders:
            if o.instrument not in self.accounts[account].holdings:
                if holdings >= most:
                    raise Refused(15, holdings, most)
                holdings += 1
            self.check_size(account, o.instrument, o.side, o.left, False)

    def admit_whole(self, account, orders, fills):
        before, lost = self.room(account), -3 * MONEY * (fills - len(orders))
        still = self.still(account)
        for o in orders:
            lost += self.entry(o, o.left)[1]
            self.hold(account, o, 0, 1)
        after = self.room(account) + lost
        after += self.size_charge(account)
        after -= self.size_charge(account, filled=[(o.instrument, -o.left if o.side else o.left) for o in orders])
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
        sums = self.sums_of(account, o.instrument)
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
            sums = self.sums_of(account, r.id)
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
