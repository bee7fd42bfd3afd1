"""8.6 of Docs/Protocol.md: admitting and placing an order."""

import heapq
import struct

from pricing import ONE, WORDS
from records import Row
from refusals import Refused, allows, floored


class Placing:
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
        most = self.positions_max(account)
        if instrument not in a.holdings and credit.holdings >= most:
            raise Refused(15, credit.holdings, most)
        self.check_size(account, instrument, side, quantity, reduce, old)
        o = Row(instrument=instrument, side=side, price=price, left=quantity)
        before = self.room(account)
        sums = self.sums_of(account, instrument)
        if old:
            self.add_order(sums, old, old.left, -1)
        after = self.room(account, o)
        if old:
            own = [(instrument, side, quantity)]
            after += self.size_charge(account, own) - self.size_charge(account, own, gone=old)
        still = self.still(account)
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
        sums = self.sums_of(account, r.id)
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
