"""Section 9 of Docs/Protocol.md: clearing."""

import struct

from auctions import Auctions
from pricing import MONEY, ONE, WORDS, Terms, up, variance
from losses import Losses
from owners import Owners
from records import Action, Instrument, Market, Pool, Row, Tree
from signatures import acceptable
from verify import ALL, NONE, ZERO, leaf, merkle, need, sha, tag


def far(*figures):
    """Held to what a receipt's field takes."""
    return (max(-1 << 61, min(x, 1 << 61)) for x in figures)


class Clearing(Auctions, Losses, Owners, Market):
    def __init__(self, genesis):
        super().__init__(genesis)
        self.accounts = []
        self.begin_owners()
        self.begin_losses()
        self.batch, self.time, self.trades = 0, genesis.start, 0
        self.settling_from = self.watch_from = self.locked = self.auction_count = 0
        self.adopted, self.auctions, self.locks, self.bids = NONE, [], [], []
        self.payouts = [(0, 0) for _ in genesis.underlyings]
        self.tranches = [0] * len(genesis.underlyings)
        self.margins, self.margin_number = [genesis.margin], 0
        self.funds = [Row(insurance=0, fees=0, rounding=0, deposits=0, withdrawals=0, reference=0, funding=0, outflow=(0, 0, 0),
                          interest=0, interest_rest=0)
                      for _ in genesis.assets]
        self.submissions, self.withdrawals, self.proposals, self.slice_order = [], [], [], []
        self.pools = {name: Pool(size) for name, size in (
            ("instruments", 128), ("indices", 24), ("slices", 72), ("submissions", 80), ("proposals", 192), ("funds", 104),
            ("withdrawals", 88), ("status", 64), ("perpetuals", 552), ("minutes", 528), ("auctions", 64), ("locks", 24), ("payouts", 24), ("margins", 2048), ("epochs", 48),
            ("shares", 24))}
        self.tree, self.perpetuals = Tree(), {}
        self.minutes = [Row(gathering=0, sampled=0, doubt=0, doubtful=0, samples={}, words={}) for _ in genesis.underlyings]
        for i in self.instruments:
            self.open_perpetual(i)
        self.begin()
        for owner in genesis.accounts:
            self.open_account(owner)
        self.reprice()
        self.roots()
        self.begin()

    def begin(self):
        self.receipts, self.directives, self.opened = [], [], []
        self.hit = Row(accounts=set(), balances=set(), positions=set(), indices=set(), slices=set(), instruments=set(), margin=False)

    def open_account(self, owner, mode=0):
        number = len(self.accounts)
        self.accounts.append(Row(owner=owner, cash=0, flags=0, mode=mode, opened=self.batch, closing=NONE, positions={}, balances={},
                                 funding={}, volume=0, day=0, debt=(0, 0)))
        self.note_owner(number, owner)
        self.opened.append((number, mode, owner))
        self.hit.accounts.add(number)
        return number

    # 11.2

    def leaf(self, number):
        def chunk(*words):
            return struct.pack(f"<{len(words)}Q", *(w % WORDS for w in words)).ljust(32, b"\0")

        def digest(name, rows):
            return sha(tag(name), struct.pack("<I", len(rows)), *rows) if rows else ZERO
        a = self.accounts[number]
        balances = [struct.pack("<Hq", asset, a.balances[asset]) for asset in sorted(a.balances)]
        positions = [struct.pack("<Iqq16sq", i, *a.positions[i], a.funding[i][0].to_bytes(16, "little", signed=True),
                                 a.funding[i][1]) for i in sorted(a.positions)]
        return merkle(8, [chunk(a.cash, a.debt[0], a.debt[0] >> 64, a.debt[1]), digest("novate/balances/1", balances), digest("novate/positions/1", positions),
                          chunk(a.flags | a.mode, a.closing, a.volume, a.day), chunk(number), a.owner, chunk(a.opened), ZERO])

    def roots(self):
        for number in self.hit.accounts:
            self.tree.set(number, self.leaf(number))
        rows = {"instruments": [i.bytes() for i in self.instruments],
                "indices": [self.index_bytes(u) for u in range(len(self.indices))],
                "slices": [self.slice_bytes(key, self.slices[key]) for key in self.slice_order],
                "submissions": [struct.pack("<IHHqQqq5q", s.publisher, *s.feed, s.sequence, s.time, s.price, *s.svi)
                                for s in self.submissions],
                "proposals": [struct.pack("<32sHHIQIHHq128s", p.digest, p.kind, p.opener, p.approvals, p.effective,
                                          p.subject, p.done, p.halted, p.opened, p.terms) for p in self.proposals],
                "funds": [struct.pack("<5qQ4q16sq", f.insurance, f.fees, f.rounding, f.deposits, f.withdrawals, f.reference, f.funding,
                                      *f.outflow, f.interest.to_bytes(16, "little"), f.interest_rest)
                          for f in self.funds],
                "withdrawals": [struct.pack("<IHHqQ32s32s", w.account, w.asset, w.state, w.amount, w.batch, w.destination,
                                            w.reference) for w in self.withdrawals],
                "status": [struct.pack("<QqIIQIIQQII", self.batch, self.time, 1, self.locked, self.trades, self.settling_from,
                                      self.watch_from, self.auction_count, self.margin_number, self.repay_from, self.repay_left)],
                "margins": self.margins,
                "epochs": self.epoch_rows(), "shares": self.share_rows(),
                "auctions": [struct.pack("<IIQQqqqqq", a.account, a.phase, a.number, a.batch, a.started, a.phase_started,
                                         a.reserved, a.notional, a.paid) if a else bytes(64) for a in self.auctions],
                "locks": [struct.pack("<I4xqq", k.account, k.amount, k.until) if k else bytes(24) for k in self.locks],
                "payouts": [struct.pack("<qqq", *p, t) for p, t in zip(self.payouts, self.tranches)],
                "perpetuals": [struct.pack("<IIqqqQ", i, 0, *p.impact, p.minute, sum(1 << n for n in p.samples))
                               + struct.pack("<60q", *(p.samples.get(n, 0) for n in range(60)))
                               + struct.pack("<q16sq", p.rate, p.index.to_bytes(16, "little", signed=True), p.rest)
                               for i, p in self.perpetuals.items()],
                "minutes": [struct.pack("<qqqQ", m.gathering, m.sampled, m.doubt, m.doubtful)
                            + struct.pack("<30q", *(m.samples.get(n, 0) for n in range(30)))
                            + struct.pack("<32q", *(m.words.get(n, (0, 0))[k] for k in (0, 1) for n in range(16)))
                            for m in self.minutes]}
        for name, records in rows.items():
            pool = self.pools[name]
            for slot, record in enumerate(records):
                if slot >= len(pool) or pool.records[slot] != record:
                    pool.set(slot, record)
        root = {name: pool.root() for name, pool in self.pools.items()}
        oracle = merkle(4, [root["indices"], root["slices"], root["submissions"], root["minutes"]])
        parameters = merkle(4, [sha(self.genesis.constants, self.genesis.rules), root["proposals"], root["margins"]])
        places = [ZERO] * 16
        places[0], places[1], places[2], places[3] = self.tree.root(), root["instruments"], oracle, parameters
        places[4], places[5], places[7], places[15] = (root["perpetuals"], root["funds"], root["withdrawals"],
                                                           root["status"])
        places[6] = merkle(4, [root["auctions"], root["locks"], root["payouts"]])
        places[8] = merkle(2, [root["epochs"], root["shares"]])
        return merkle(16, places), oracle, parameters

    # 9.3

    def clear(self, header, bundles, events):
        """The parts of clearing's header that follow from the batch, and the body."""
        time, = struct.unpack_from("<q", header, 48)
        credit, = struct.unpack_from("<Q", header, 152)
        self.begin()
        last, self.time, self.adopted = self.time, time, credit
        self.fund_before = self.funds[0].insurance
        self.begin_auctions()
        self.run_interest(last)
        self.activate()
        self.close_minutes()
        self.run_funding(last)
        for event in events:
            if event[0] == 1:
                self.novate(*struct.unpack("<BBBxIQIIqqQQ8x", event)[1:9])
            elif event[0] == 2:
                kind, _, account, place, record = struct.unpack("<xBHIII48x", event)
                action = Action(bundles[place], record, 96 + 64 * record)
                need(action.kind == kind, "instruction")
                self.carry_out(action, account)
        self.sample_premiums()
        for m in self.minutes:
            m.doubtful = m.doubtful + 1 if m.doubt > ONE // 2 else 0
        self.expire()
        if self.market_moved():
            self.reprice()
        self.run_auctions()
        self.watch_margin()
        self.run_recoveries()
        self.lock()
        self.conserve()
        body = self.body()
        self.batch += 1
        return self.roots(), body, [leaf(r) for r in self.receipts]

    def receipt(self, kind, code=0, instrument=0, buyer=0, seller=0, id=0, numbers=()):
        self.receipts.append(struct.pack("<BBHIIIQ", kind, code, 0, instrument, buyer, seller, id)
                             + struct.pack("<12q", *numbers, *[0] * (12 - len(numbers))) + bytes(8))

    # 9.4

    def novate(self, cause, taker_side, instrument, trade, maker, taker, price, quantity):
        i = self.instruments[instrument]
        buyer, seller = (taker, maker) if taker_side == 0 else (maker, taker)
        value = price * quantity
        paid, received = up(value, MONEY), value // MONEY
        fees = [i.fee(price, quantity, taker_side == side, self.faded_volume(account))
                for side, account in enumerate((buyer, seller))]
        one = self.net(buyer, i, quantity, -paid, fees[0])
        two = self.net(seller, i, -quantity, received, fees[1])
        self.funds[0].rounding += paid - received
        self.funds[0].fees += sum(fees)
        for account in (buyer, seller):
            self.accounts[account].volume = min(self.accounts[account].volume + received, 1 << 60)
        self.trades += 1
        self.receipt(1, 0, instrument, buyer, seller, trade, (price, quantity, paid, received, *fees, one[0], two[0], one[1],
                                                              two[1], one[2], two[2]))

    def faded_volume(self, account):
        a, today = self.accounts[account], self.time // 86_400_000
        a.volume -= up(a.volume * min(today - a.day, 30), 30)
        a.day = today
        return a.volume

    def net(self, account, instrument, change, flow, fee):
        a = self.accounts[account]
        q, c = a.positions.get(instrument.id, (0, 0))
        self.fund_position(account, instrument.id)
        realised = paid = 0
        if instrument.kind == 1:
            paid = flow
        elif q == 0 or (q > 0) == (change > 0):
            c -= flow
        else:
            closed = min(abs(change), abs(q))
            closing = flow if closed == abs(change) else flow * closed // abs(change)
            released = up(c * closed, abs(q))
            realised = closing - released
            c -= released + flow - closing
            paid = realised
        q += change
        paid -= fee
        a.positions[instrument.id] = (q, c)
        a.funding[instrument.id] = (self.perpetuals[instrument.id].index if instrument.kind == 3 else 0, 0)
        need(abs(q) <= 80 * instrument.size_max, "position limit")
        if q == 0:
            paid -= c
            del a.positions[instrument.id]
        self.add_cash(account, paid)
        self.hit.accounts.add(account)
        self.hit.positions.add((account, instrument.id))
        return q, realised, a.cash

    # 9.5, 9.6

    def carry_out(self, r, signer):
        if r.kind == 7:
            self.deposit(r)
        elif r.kind == 6:
            self.withdraw(r, signer)
        elif r.kind == 8:
            self.pay_out(r, signer)
        elif r.kind in (9, 10):
            self.hear(r, signer)
        elif r.kind == 18:
            self.bid(r, signer)
        elif r.kind == 27:
            self.open_sub_account(r, signer)
        elif r.kind == 28:
            self.send(r, signer)
        else:
            self.approve(r, signer)

    def move(self, account, asset, change):
        a = self.accounts[account]
        self.hit.accounts.add(account)
        if asset == 0:
            return self.add_cash(account, change)
        self.hit.balances.add((account, asset))
        a.balances[asset] = a.balances.get(asset, 0) + change
        return a.balances[asset]

    # 9.17

    def run_interest(self, last):
        fund = self.funds[0]
        if self.terms.interest > 0 and self.time > last:
            grown = self.terms.interest * (self.time - last) * 10 ** 9 + fund.interest_rest
            fund.interest, fund.interest_rest = fund.interest + grown // 31_536_000_000, grown % 31_536_000_000

    def interest_due(self, account):
        a = self.accounts[account]
        if a.cash >= 0:
            return 0
        start, booked = a.debt
        return up((-a.cash - booked) * (self.funds[0].interest - start), 10 ** 18) - booked

    def book_interest(self, account):
        a, due = self.accounts[account], self.interest_due(account)
        if due > 0:
            a.cash -= due
            a.debt = a.debt[0], a.debt[1] + due
            self.funds[0].insurance += due
            self.hit.accounts.add(account)
            self.receipt(17, 0, buyer=account, numbers=(0, 0, due, 0, 0, 0, 0, 0, 0, 0, a.cash))

    def add_cash(self, account, change):
        a = self.accounts[account]
        if change:
            self.book_interest(account)
            a.cash += change
            a.debt = (self.funds[0].interest, 0) if a.cash < 0 else (0, 0)
        return a.cash

    def deposit(self, r):
        fund, known = self.funds[r.id], self.by_owner.get(r.tail)
        is_new = r.tail != ZERO and known is None
        code = (1 if r.z <= fund.reference
                else 3 if r.x > self.constant["deposits_total_max"] - (fund.deposits - fund.withdrawals)
                or fund.deposits + r.x >= 1 << 63 or r.id in self.terms.collaterals
                and r.x > self.terms.collaterals[r.id].cap(self.time) - (fund.deposits - fund.withdrawals)
                else 13 if is_new and not acceptable(r.tail)
                else 2 if is_new and r.x < self.constant["deposit_for_new_account_min"]
                else 12 if is_new and len(self.accounts) >= 1 << 24 else 0)
        buyer = cash = 0
        if code == 0:
            fund.reference, fund.deposits = r.z, fund.deposits + r.x
            if r.tail == ZERO:
                fund.insurance += r.x
            else:
                buyer = self.open_account(r.tail) if is_new else known
                cash = self.move(buyer, r.id, r.x)
        self.receipt(2, code, buyer=buyer, id=r.z, numbers=(0, 0, r.x, 0, 0, 0, 0, 0, 0, 0, cash))

    def withdraw(self, r, account):
        a = self.accounts[account]
        self.hit.accounts.add(account)
        if r.id == 0 or r.id in self.terms.collaterals:
            self.book_interest(account)
            for i in sorted(a.positions):
                self.fund_position(account, i)
        if (a.cash if r.id == 0 else a.balances.get(r.id, 0)) < r.x:
            return self.receipt(3, 11, buyer=account, numbers=(0, 0, r.x))
        code, free = self.refusal(account, r)
        if code:
            return self.receipt(3, code, buyer=account, numbers=(0, 0, r.x, free))
        cash = self.move(account, r.id, -r.x)
        self.funds[r.id].withdrawals += r.x
        self.receipt(3, 0, buyer=account, id=len(self.withdrawals), numbers=(0, 0, r.x, 0, 0, 0, 0, 0, 0, 0, cash))
        self.withdrawals.append(Row(account=account, asset=r.id, state=1, amount=r.x, batch=self.batch, destination=r.tail,
                                    reference=ZERO))

    # 9.18

    def open_sub_account(self, r, main):
        code = 27 if len(self.group(main)) >= 64 else 12 if len(self.accounts) >= 1 << 24 else 0
        account = 0 if code else self.open_account(self.accounts[main].owner, (0, 4, 8)[r.a])
        self.receipt(20, code, buyer=account, seller=main, id=r.a)

    def send(self, r, account):
        a = self.accounts[account]
        need(r.id < len(self.funds) and r.z != account and self.main_of[r.z] == self.main_of[account], "transfer")
        self.hit.accounts.add(account)
        if r.id == 0 or r.id in self.terms.collaterals:
            self.book_interest(account)
            for i in sorted(a.positions):
                self.fund_position(account, i)
        code = free = mine = theirs = 0
        if (a.cash if r.id == 0 else a.balances.get(r.id, 0)) < r.x:
            code = 11
        else:
            code, free = self.margin_refusal(account, r)
        if not code:
            mine = self.move(account, r.id, -r.x)
            theirs = self.move(r.z, r.id, r.x)
        self.receipt(21, code, r.id, r.z, account, numbers=(0, 0, r.x, free, 0, 0, 0, 0, 0, 0, theirs, mine))

    def call_owner(self, account, debt):
        """What the owner's other accounts pay towards a debt."""
        left = debt
        for other in self.group(account):
            amount = min(left, self.spare_cash(other)) if other != account and left else 0
            if amount > 0:
                mine = self.move(other, 0, -amount)
                theirs = self.move(account, 0, amount)
                self.receipt(21, 28, 0, account, other, numbers=(0, 0, amount, 0, 0, 0, 0, 0, 0, 0, theirs, mine))
                left -= amount
        return debt - left

    def spare_cash(self, account):
        a = self.accounts[account]
        if a.cash <= 0 or a.flags:
            return 0
        held = self.held_of(account)
        if not a.positions and not held:
            return a.cash
        self.book_interest(account)
        for i in sorted(a.positions):
            self.fund_position(account, i)
        is_old, free = self.rule(account, held)
        return 0 if is_old else max(0, min(free, a.cash - held))

    def pay_out(self, r, signer):
        w = self.withdrawals[r.z] if r.z < len(self.withdrawals) else None
        if not w or w.state != 1 or w.batch >= self.batch:
            return self.receipt(4, 4, id=r.z)
        if struct.unpack_from("<I", self.genesis.assets[w.asset], 20)[0] != signer:
            return self.receipt(4, 5, id=r.z)
        w.state, w.reference = 2, r.tail
        self.receipt(4, 0, buyer=w.account, id=r.z, numbers=(0, 0, w.amount))

    # 9.7

    def in_window(self, time):
        return self.time - self.constant["oracle_staleness_ms"] <= time <= self.time + self.constant["drift_max_ms"]

    def hear(self, r, signer):
        if r.kind == 9:
            feed = (self.instruments[r.id].underlying, 3, r.id) if r.a else (r.id, 1, 0)
            word = Row(feed=feed, time=r.y, price=r.x, svi=(0,) * 5)
        else:
            forward, *svi = struct.unpack("<6q", r.data[32:80])
            word = Row(feed=(r.id, 2, r.x), time=r.y, price=forward, svi=tuple(svi))
        word.publisher, word.sequence = self.genesis.publishers.index(signer), r.z

        def answer(code):
            self.receipt(5, code, instrument=r.id, buyer=signer, id=r.z, numbers=(word.price,))
        if not self.in_window(word.time):
            return answer(7)
        for slot, old in enumerate(self.submissions):
            if old.publisher == word.publisher and old.feed == word.feed:
                if word.sequence <= old.sequence:
                    return answer(6)
                self.submissions[slot] = word
                break
        else:
            if r.kind == 10 and not any((i.underlying, i.expiry) == (r.id, r.x) for i in self.instruments):
                return answer(8)
            self.submissions.append(word)
        answer(0)
        if word.feed[1] == 1:
            self.gather(word)
        self.decide(word.feed)

    def decide(self, feed):
        fresh = [s for s in self.submissions if s.feed == feed and self.in_window(s.time)]
        quorum = self.constant["oracle_quorum"]
        if len(fresh) < quorum:
            return
        time = sorted((s.time for s in fresh), reverse=True)[quorum - 1]
        middle = (len(fresh) - 1) // 2
        price = sorted(s.price for s in fresh)[middle]
        underlying, kind, expiry = feed
        if kind == 3:
            if time >= self.perpetuals[expiry].impact[1]:
                self.perpetuals[expiry].impact = (price, time)
            return
        if kind == 1:
            old, m, limit = self.indices[underlying], self.minutes[underlying], self.constant["oracle_deviation_max"]
            if time < old[1] or limit and self.is_fresh(underlying) and abs(price - old[0]) * ONE > old[0] * limit:
                return
            if self.constant["confidence_band"]:
                gaps = sorted(abs(s.price - price) for s in fresh)[:quorum]
                m.doubt = min(ONE, up(gaps[quorum // 2] * ONE * ONE, price * self.constant["confidence_band"]))
            doubt = m.doubt if self.constant["confidence_band"] else 0
            if old != (price, time, doubt):
                self.indices[underlying] = (price, time, doubt)
                self.hit.indices.add(underlying)
            return
        pins = [[variance(s.svi, k << 55) for k in range(-4, 5)] for s in fresh]
        medians = [sorted(column)[middle] for column in zip(*pins)]
        far = [sum(abs(w - m) for w, m in zip(row, medians)) for row in pins]
        choice = min(range(len(fresh)), key=lambda n: (far[n], fresh[n].publisher, n))
        key, value = (underlying, expiry), (price, fresh[choice].svi, time)
        if key not in self.slices:
            self.slice_order.append(key)
        elif time < self.slices[key][2] or self.slices[key] == value:
            return
        self.slices[key] = value
        self.hit.slices.add(key)

    # 9.14

    def gather(self, word):
        m, minute = self.minutes[word.feed[0]], (word.time + 30_000) // 60_000
        if abs(word.time - minute * 60_000) > 10_000 or minute <= m.sampled or minute < m.gathering:
            return
        if minute > m.gathering:
            if m.gathering:
                self.decide_minute(m)
            m.gathering = minute
        _, known = m.words.get(word.publisher, (0, -1 << 80))
        if abs(word.time - minute * 60_000) < abs(known - minute * 60_000):
            m.words[word.publisher] = (word.price, word.time)

    def close_minutes(self):
        for m in self.minutes:
            if m.gathering and self.time > m.gathering * 60_000 + 10_000:
                self.decide_minute(m)

    def decide_minute(self, m):
        for passed in range(max(m.sampled, m.gathering - 30) + 1, m.gathering + 1):
            m.samples.pop(passed % 30, None)
        prices = sorted(price for price, _ in m.words.values())
        if len(prices) >= self.constant["oracle_quorum"]:
            m.samples[m.gathering % 30] = prices[(len(prices) - 1) // 2]
        m.sampled, m.gathering, m.words = m.gathering, 0, {}

    def settlement_price(self, i):
        (price, time, _), m, last = self.indices[i.underlying], self.minutes[i.underlying], i.expiry // 60_000
        if i.samples:
            if self.time <= i.expiry + 10_000:
                return None
            standing = [m.samples[n % 30] for n in range(last - 29, last + 1)
                        if m.sampled - 30 < n <= m.sampled and n % 30 in m.samples]
            if len(standing) >= i.samples:
                return sum(standing) // len(standing)
        due = i.expiry + (86_400_000 if i.samples else 0)
        return price if self.is_fresh(i.underlying) and time >= due else None

    def is_held_back(self, number, lacking):
        exposed = 0
        for i, (q, _) in self.accounts[number].positions.items():
            u = self.instruments[i].underlying
            if 0 < self.minutes[u].doubtful <= self.constant["hold_back_batches_max"]:
                exposed += abs(q) * self.indices[u][0]
        return lacking < exposed * self.constant["confidence_band"] // ONE

    # 9.13

    def open_perpetual(self, instrument):
        if instrument.kind == 3:
            self.perpetuals[instrument.id] = Row(impact=(0, 0), minute=self.time // 60_000, samples={}, rate=0, index=0, rest=0)

    def run_funding(self, last):
        for i, p in self.perpetuals.items():
            price = self.indices[self.instruments[i].underlying][0]
            growth = p.rate * price * min(self.time - last, 60_000) * 10 + p.rest
            p.index, p.rest = p.index + growth // 28_800_000, growth % 28_800_000

    def sample_premiums(self):
        minute, cap = self.time // 60_000, self.constant["funding_rate_max"]
        for i, p in self.perpetuals.items():
            underlying = self.instruments[i].underlying
            price = self.indices[underlying][0]
            if minute <= p.minute:
                continue
            for passed in range(max(p.minute, minute - 60) + 1, minute + 1):
                p.samples.pop(passed % 60, None)
            p.minute = minute
            if self.is_fresh(underlying) and p.impact[0] > 0 and self.time - p.impact[1] <= self.constant["oracle_staleness_ms"]:
                gap = (p.impact[0] - price) * ONE
                p.samples[minute % 60] = min(abs(gap) // price, (1 << 63) - 1) * (1 if gap > 0 else -1)
            kept = sorted(p.samples.values())
            cut = len(kept) // 10
            kept = kept[cut:len(kept) - cut] if len(kept) >= 30 else [0]
            mean = abs(sum(kept)) // len(kept) * (1 if sum(kept) > 0 else -1)
            p.rate = max(-cap, min(mean, cap))

    def funding_due(self, account, instrument):
        a = self.accounts[account]
        if instrument not in self.perpetuals or instrument not in a.positions:
            return 0
        start, booked = a.funding[instrument]
        return up(a.positions[instrument][0] * (self.perpetuals[instrument].index - start), 10 ** 20) - booked

    def fund_position(self, account, instrument):
        a, due = self.accounts[account], self.funding_due(account, instrument)
        if due:
            self.add_cash(account, -due)
            self.funds[0].funding += due
            a.funding[instrument] = (a.funding[instrument][0], a.funding[instrument][1] + due)
            self.hit.accounts.add(account)
            self.receipt(10, 0, instrument, account, numbers=(0, a.positions[instrument][0], due, 0, 0, 0, 0, 0, 0, 0, a.cash))

    # 9.9

    def approve(self, r, signer):
        terms = r.data[64:192] if r.kind == 12 else bytes(128)
        i = Instrument(terms)
        if r.kind == 26:
            proposed = Terms(r.data[64:])
            fine = len(self.margins) < 65_536 and not (proposed.collaterals and not self.constant["auction_fast_ms"])
            for asset, c in proposed.collaterals.items():
                stood = self.terms.collaterals.get(asset)
                fine = (fine and asset < len(self.funds) and c.underlying < len(self.indices)
                        and (c.listed >= self.time or stood is not None and c.growth == stood.growth))
        elif r.kind == 12:
            fine = (len(self.instruments) < 65_536 and i.underlying < len(self.indices) and i.is_allowed
                    and (not i.expires or i.expiry > self.time))
        else:
            fine = r.id < len(self.instruments) and self.instruments[r.id].is_listed
        if not fine:
            return self.receipt(6, 9, buyer=signer)
        digest, member = sha(r.data), self.genesis.members.index(signer)
        for p in self.proposals:
            if p.digest == digest and not p.done and not self.has_lapsed(p):
                break
        else:
            waiting = [p for p in self.proposals if p.effective == NONE and not self.has_lapsed(p)]
            if sum(p.opener == member for p in waiting) >= 16:
                return self.receipt(6, 14, buyer=signer)
            subject = r.id
            if r.kind == 26:
                subject = len(self.margins)
                self.margins.append(r.data[64:])
            p = Row(digest=digest, kind=r.kind, opener=member, approvals=0, effective=NONE, subject=subject, done=0,
                    halted=r.a, opened=self.time, terms=terms)
            lapsed = [slot for slot, old in enumerate(self.proposals) if self.has_lapsed(old)]
            if lapsed:
                self.proposals[lapsed[0]] = p
            else:
                self.proposals.append(p)
        bit = 1 << member
        if p.approvals & bit:
            return self.receipt(6, 10, buyer=signer)
        p.approvals |= bit
        count = bin(p.approvals).count("1")
        if count >= self.genesis.threshold and p.effective == NONE:
            p.effective = self.batch + self.constant["activation_notice"]
        self.receipt(6, 0, buyer=signer, id=p.effective, numbers=(0, count))

    def has_lapsed(self, p):
        return p.effective == NONE and self.time - p.opened > 604_800_000

    def activate(self):
        for p in self.proposals:
            if p.done or p.effective > self.batch:
                continue
            p.done = 1
            if p.kind == 12:
                if len(self.instruments) >= 65_536:
                    continue
                i = Instrument(p.terms)
                i.id, i.listed = len(self.instruments), self.batch
                self.instruments.append(i)
                self.open_perpetual(i)
            elif p.kind == 26:
                self.margin_number, self.terms, self.hit.margin = p.subject, Terms(self.margins[p.subject]), True
                continue
            else:
                i = self.instruments[p.subject]
                if not i.is_listed:
                    continue
                i.status = 2 if p.halted else 1
            self.hit.instruments.add(i.id)

    # 9.10

    def is_fresh(self, underlying):
        price, time, _ = self.indices[underlying]
        return price > 0 and self.time - time <= self.constant["drift_max_ms"]

    def expire(self):
        if not any(i.status == 4 for i in self.instruments):
            for i in self.instruments:
                price = self.settlement_price(i) if i.is_listed and i.expires and i.expiry <= self.time else None
                if price is not None:
                    i.settled, i.status = price, 4
                    self.hit.instruments.add(i.id)
        settling = [i for i in self.instruments if i.status == 4]
        if not settling:
            return
        left, number = 32_768, self.settling_from
        while number < len(self.accounts) and left > 0:
            left -= self.settle(number)
            number += 1
        if number < len(self.accounts):
            self.settling_from = number
            return
        self.settling_from = 0
        for i in settling:
            i.status = 3
            self.hit.instruments.add(i.id)

    def settle(self, number):
        a = self.accounts[number]
        due = [i for i in sorted(a.positions) if self.instruments[i].status == 4]
        for i in due:
            price = self.instruments[i].settled
            q, c = a.positions.pop(i)
            value = self.instruments[i].payoff(price) * q // MONEY
            self.add_cash(number, value - c)
            self.funds[0].rounding -= value
            self.hit.accounts.add(number)
            self.hit.positions.add((number, i))
            self.receipt(7, 0, i, number, numbers=(price, q, 0, value, 0, 0, 0, 0, value - c, 0, a.cash))
        return len(due)

    # 9.11

    def market_moved(self):
        return self.hit.indices or self.hit.slices or self.hit.instruments or self.hit.margin

    def watch_margin(self):
        moved = self.market_moved()
        first, self.watch_from = self.watch_from, 0
        if moved or first:
            for number in [*range(first, len(self.accounts)), *range(first)]:
                self.watch(number)
            return
        for number in sorted(self.hit.accounts):
            self.watch(number)
        for number in [n for n, a in enumerate(self.accounts) if a.flags]:
            self.watch(number)

    def is_mark_fresh(self, instrument):
        return (self.is_fresh(self.instruments[instrument].underlying)
                and self.time - self.mark_time(instrument) <= self.constant["oracle_staleness_ms"])

    def flag(self, number, flags, equity=0, requirement=0):
        a = self.accounts[number]
        a.flags = flags
        if not flags:
            a.closing = NONE
        self.hit.accounts.add(number)
        asked, owned = far(up(requirement, MONEY), equity // MONEY)
        self.receipt(9, 0, buyer=number, id=flags, numbers=(0, self.margin_number, asked, owned) + (0,) * 6 + (a.cash,))

    def watch(self, number):
        a = self.accounts[number]
        if a.flags & 2:
            return
        if not self.is_exposed(number):
            if a.cash < 0 and len(self.group(number)) > 1:
                self.book_interest(number)
                self.call_owner(number, -a.cash)
            if a.cash < 0 and self.funds[0].insurance > 0:
                self.book_interest(number)
            paid = min(-a.cash, self.funds[0].insurance)
            if paid > 0:
                self.funds[0].insurance -= paid
                self.receipt(8, 0, buyer=number, numbers=(0, 0, paid, 0, 0, 0, 0, 0, 0, 0, self.move(number, 0, paid)))
            if a.flags != (a.cash < 0):
                self.flag(number, int(a.cash < 0))
            return
        if not self.is_priceable(number):
            return
        equity, sums, requirement, maintenance, _ = self.weigh(number)
        if equity >= requirement:
            if a.flags:
                self.flag(number, 0, equity, requirement)
            return
        if equity >= maintenance:
            return
        if len(self.directives) + 2 > 16_384:
            self.watch_from = self.watch_from or number
            return
        is_new = not a.flags
        if is_new:
            self.flag(number, 1, equity, requirement)
            self.directives.append((1, 0, number, ALL, 0, 0))
        if self.is_held_back(number, maintenance - equity):
            return
        if self.constant["auction_fast_ms"] and self.auction_of(number) is None:
            return self.start_auction(number, equity, maintenance, is_new)
        if self.has_adopted(a.closing):
            close = self.what_to_close(number, sums, equity, requirement)
            if close:
                a.closing = self.batch
                self.hit.accounts.add(number)
                self.directives.append(close)
                self.close_receipt(close, sums, equity, requirement, maintenance)

    def close_receipt(self, close, sums, equity, requirement, maintenance):
        _, side, number, instrument, size, price = close
        binding, loss = NONE, 0
        worst, page = self.worst(sums)
        if worst < 0:
            binding, loss = self.instruments[instrument].underlying << 8 | sums[page].index(worst), worst
        a = self.accounts[number]
        asked, owned, kept, lost = far(up(requirement, MONEY), equity // MONEY, up(maintenance, MONEY), loss // MONEY)
        self.receipt(19, 0, instrument, number, id=binding, numbers=(
            price, -size if side else size, asked, owned, kept, 0, a.positions[instrument][0], self.margin_number, lost, 0, a.cash))

    def is_exposed(self, number):
        a = self.accounts[number]
        return bool(a.positions) or a.cash < 0 and any(self.counted(*b) for b in a.balances.items())

    def is_priceable(self, number):
        a = self.accounts[number]
        if not a.positions:
            return any(self.counted(*b) and self.is_fresh(self.terms.collaterals[b[0]].underlying) for b in a.balances.items())
        return all(self.values[i] is not None for i in a.positions) and any(map(self.is_mark_fresh, a.positions))

    def is_apart(self, number):
        """Whether nothing nets: an account in cross mode."""
        return bool(self.accounts[number].mode & 4)

    @staticmethod
    def worst(sums):
        return min(((min(0, *total), page) for page, total in sums.items() if page >= 0), default=(0, 0))

    def weigh(self, number, less=(None, 0)):
        a = self.accounts[number]
        balances = [(asset, amount - less[1] * (asset == less[0])) for asset, amount in sorted(a.balances.items())]
        equity = (a.cash - self.interest_due(number)) * MONEY + sum(self.worth(*b)[0] for b in balances)
        for i, (q, c) in a.positions.items():
            equity += self.mark(i) * q - c * MONEY - self.funding_due(number, i) * MONEY
        requirement, sums, maintenance, core = self.requirement(
            [(i, a.positions[i][0]) for i in sorted(a.positions)], balances, self.is_apart(number))
        return equity, sums, requirement, maintenance, core

    # 9.15

    def lock(self):
        missing = sum(max(0, -self.weigh(n)[0]) for n, a in enumerate(self.accounts)
                      if a.flags and all(self.values[i] is not None for i in a.positions))
        self.locked = int(missing > self.funds[0].insurance * MONEY)

    def refusal(self, account, r):
        fund, daily = self.funds[r.id], self.constant["outflow_daily_max"]
        code, free = (15, 0) if self.locked else self.margin_refusal(account, r)
        if code:
            return code, free
        if daily:
            used, rest, last = fund.outflow
            whole = daily * (self.time - last) + rest
            rest = whole % 86_400_000 if used > whole // 86_400_000 else 0
            used = max(0, used - whole // 86_400_000)
            if r.x > daily - used:
                return 18, 0
            fund.outflow = used + r.x, rest, self.time
        return 0, 0

    def margin_refusal(self, account, r):
        a = self.accounts[account]
        if a.flags:
            return 15, 0
        held = self.held_of(account) if r.id == 0 else 0
        if (r.id == 0 or r.id in self.terms.collaterals) and (a.positions or a.cash < 0 or held):
            old, free = self.rule(account, held, (r.id, r.x) if r.id else (None, 0))
            code = 16 if old else 11 if r.id == 0 and r.x > a.cash - held else 17 if (r.x if r.id == 0 else 0) > free else 0
            return code, free if code else 0
        return 0, 0

    def rule(self, account, held, less=(None, 0)):
        """Whether a price is too old, and what is free by the rule."""
        a = self.accounts[account]
        self.reprice()
        left = {asset: amount - (less[1] if asset == less[0] else 0) for asset, amount in a.balances.items() if asset in self.legs}
        old = any(self.values[i] is None or self.time - self.mark_time(i) > self.constant["grant_age_max_ms"]
                  for i in a.positions)
        for asset, amount in left.items():
            when = self.indices[self.terms.collaterals[asset].underlying][1]
            old = old or amount > 0 and self.time - when > self.constant["grant_age_max_ms"]
        profits = {}
        for i in a.positions:
            u = self.instruments[i].underlying
            profits[u] = profits.get(u, 0) + self.prudent_profit(account, i)
        free = a.cash - held + sum(min(p // MONEY, self.constant["profit_counted_max"]) for p in profits.values())
        free += sum(self.prudent_prices(self.terms.collaterals[asset].underlying)[0] * self.counted(asset, amount)
                    * self.multiple[asset] for asset, amount in left.items()) // MONEY
        _, _, requirement, _, core = self.weigh(account, less)
        asked = requirement + self.terms.peg_charge(core, self.indices) + self.size_charge(account)
        return old, free - min(1 << 61, up(asked, MONEY))

    def size_charge(self, account):
        """10.8: of an account as it stands."""
        charge = 0
        for i, (q, _) in self.accounts[account].positions.items() if self.asks_for_size else ():
            held = [a.positions.get(i, (0,))[0] for a in self.accounts]
            others = sum(self.counts(i, held[n]) for n in self.group(account) if n != account)
            charge += self.crowding(i, q, sum(max(0, n) for n in held))
            charge += self.concentration(i, self.counts(i, q), others)
        return charge

    def prudent_profit(self, account, i):
        q, c = self.accounts[account].positions[i]
        terms = self.instruments[i]
        spot, (low, high) = self.indices[terms.underlying][0], self.prudent_prices(terms.underlying)
        gap = spot - low if (q > 0) != (terms.kind == 1 and not terms.call) else high - spot
        return self.mark(i) * q - c * MONEY - gap * abs(q)

    def prudent_prices(self, underlying):
        spot, m, now = self.indices[underlying][0], self.minutes[underlying], self.time // 60_000
        recent = [m.samples[n % 30] for n in range(now - 29, now + 1)
                  if m.sampled - 30 < n <= m.sampled and n % 30 in m.samples]
        average = sum(recent) // len(recent) if recent else spot
        doubt = m.doubt * self.constant["confidence_band"]
        return (min(spot * (ONE * ONE - doubt) // (ONE * ONE), average),
                max(up(spot * (ONE * ONE + doubt), ONE * ONE), average))

    def what_to_close(self, number, sums, equity, requirement):
        worst, page = self.worst(sums)
        binding = sums[page].index(worst) if worst < 0 else None
        best = None
        for i, (q, _) in sorted(self.accounts[number].positions.items()):
            terms, size = self.instruments[i], abs(q)
            own = self.page(i, self.is_apart(number))
            if worst < 0 and own != page or not terms.trades(self.time) or not self.is_mark_fresh(i):
                continue
            if worst < 0:
                unit = self.units(i)[binding]
                if unit * q >= 0:
                    continue
                size = min(size, up(up(-worst, abs(unit)), terms.lot) * terms.lot)
            part = size if q > 0 else -size
            total = sums[own]
            after = requirement + min(0, *total) - min(0, *(s - part * u for s, u in zip(total, self.units(i))))
            if best is None or after < best[0]:
                best = after, i, part
        if best is None:
            return None
        _, chosen, part = best
        i, mark, size = self.instruments[chosen], self.mark(chosen), abs(part)
        base = mark + (self.indices[i.underlying][0] // 10 if i.kind == 1 else 0)
        band = min(up(base * self.constant["close_band"], ONE), max(equity, requirement // 8) // size)
        price = (mark + band) // i.tick * i.tick if part < 0 else up(mark - band, i.tick) * i.tick
        if part < 0 and price < i.tick:
            return None
        return 2, int(part > 0), number, chosen, size, min(max(price, i.tick), i.price_max)

    # 9.12, 7.2

    def conserve(self):
        apart = sum(e.recovered - e.repaid for e in self.epochs if e) + sum(self.tranches)
        for asset, f in enumerate(self.funds):
            held_by = sum(a.cash - sum(c for _, c in a.positions.values()) if asset == 0 else a.balances.get(asset, 0)
                          for a in self.accounts)
            need(held_by + f.insurance + f.fees + f.rounding + f.funding + (0 if asset else apart) == f.deposits - f.withdrawals, "conservation")

    def body(self):
        hit, a = self.hit, self.accounts
        lists = [
            [struct.pack("<II32s", *opened) for opened in self.opened],
            [struct.pack("<IIq", n, a[n].flags | a[n].mode, a[n].cash) for n in sorted(hit.accounts)],
            [struct.pack("<IH2xq", n, asset, a[n].balances[asset]) for n, asset in sorted(hit.balances)],
            [struct.pack("<IIqq", n, i, *a[n].positions.get(i, (0, 0))) for n, i in sorted(hit.positions)],
            [self.index_bytes(u) for u in sorted(hit.indices)],
            [self.slice_bytes(key, self.slices[key]) for key in sorted(hit.slices)],
            [self.instruments[i].bytes() for i in sorted(hit.instruments)],
            [struct.pack("<BBHIIIqq", d[0], d[1], 0, d[2], d[3], 0, d[4], d[5]) for d in self.directives],
            [self.margins[self.margin_number]] if hit.margin else []]
        return struct.pack("<9I", *map(len, lists)) + b"".join(record for rows in lists for record in rows)
