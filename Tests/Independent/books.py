"""8.5 and 8.7 of Docs/Protocol.md: credit, the books and matching."""

import struct

from pricing import MONEY, ONE, signed, up
from records import BODY_MAX
from verify import ALL


class Books:
    # 8.5

    def entry(self, o, left):
        q = left if o.side == 0 else -left
        gap = min(0, q * (self.mark(o.instrument) - o.price))
        rate = max(self.instruments[o.instrument].maker, self.instruments[o.instrument].taker)
        return q, gap - (up(left * o.price * rate, ONE) if rate else 0) - 3 * MONEY

    def page(self, account, instrument):
        """What an exposure nets in: its underlying, or in cross mode the contract alone."""
        return ("alone", instrument) if self.credits[account].flags & 4 else self.instruments[instrument].underlying

    def collateral_page(self, account, asset):
        return ("asset", asset) if self.credits[account].flags & 4 else self.terms.collaterals[asset].underlying

    def pages(self, account):
        if not self.credits[account].flags & 4:
            return range(len(self.indices))
        a = self.accounts[account]
        held = {*a.holdings, *(o.instrument for o in a.orders.values())}
        return [("alone", i) for i in sorted(held)] + [("asset", n) for n in sorted(a.balances) if n in self.legs]

    def sums_of(self, account, instrument):
        return self.sums(account, self.page(account, instrument))

    def sums(self, account, page):
        found = self.accounts[account].sums.get(page)
        if found is None:
            found = [0] * 37
            for instrument, slot in self.accounts[account].holdings.items():
                if self.page(account, instrument) == page:
                    h = self.holdings[slot]
                    self.add_position(found, instrument, h.granted + h.since)
            for o in self.accounts[account].orders.values():
                if self.page(account, o.instrument) == page:
                    self.add_order(found, o, o.left, 1)
            for asset, slot in self.accounts[account].balances.items():
                if asset in self.legs and self.collateral_page(account, asset) == page:
                    _, units, (lead, trail), _ = self.legs[asset]
                    q = self.counted(asset, self.left(slot)) * self.multiple[asset]
                    for s, unit in enumerate(units):
                        found[s] += q * unit
                    found[34] -= q * lead
                    found[35] -= q * trail
            self.accounts[account].sums[page] = found
        return found

    def still(self, account):
        """What is left while the market stands still."""
        return self.equity(account) + sum(self.sums(account, page)[32] for page in self.pages(account))

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
        worst, own = 0, extra and self.page(account, extra.instrument)
        for page in self.pages(account):
            if not extra or page != own:
                worst += min(0, *self.sums(account, page))
        if extra:
            sums = list(self.sums(account, own))
            self.add_order(sums, extra, extra.left, 1)
            worst += min(0, *sums)
        total = self.equity(account) + worst - self.terms.peg_charge(-worst, self.indices)
        return total - self.size_charge(account, [(extra.instrument, extra.side, extra.left)] if extra else [])

    # 10.8, whatever fills

    def span(self, account, instrument, resting=(), filled=(), gone=None):
        """The least and the most contracts that an account may come to have."""
        a, q = self.accounts[account], sum(n for i, n in filled if i == instrument)
        if instrument in a.holdings:
            h = self.holdings[a.holdings[instrument]]
            q += h.granted + h.since
        ways = [0, 0]
        for o in a.orders.values():
            if o.instrument == instrument and o is not gone:
                ways[o.side] += o.left
        for i, side, n in resting:
            if i == instrument:
                ways[side] += n
        return q - ways[1], q + ways[0]

    def size_charge(self, account, resting=(), filled=(), gone=None):
        if not self.asks_for_size:
            return 0
        charge = 0
        for i in {*self.accounts[account].holdings, *(r[0] for r in resting), *(f[0] for f in filled)}:
            span = self.span(account, i, resting, filled, gone)
            open_interest = sum(max(0, h.granted) for h in self.holdings if h and h.instrument == i)
            others = sum(max(self.counts(i, q) for q in self.span(n, i)) for n in self.group(account) if n != account)
            charge += max(self.crowding(i, q, open_interest) for q in span)
            charge += self.concentration(i, max(self.counts(i, q) for q in span), others)
        return charge

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
        sums = self.sums_of(o.account, o.instrument)
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
            sums = self.sums_of(maker.account, maker.instrument)
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
        sums = self.sums_of(o.account, o.instrument)
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
        sums = self.sums_of(account, instrument)
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
