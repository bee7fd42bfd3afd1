"""8.13 of Docs/Protocol.md: calls and auctions."""

from refusals import Refused


class Calls:
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
            sums = self.sums_of(o.account, instrument)
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
