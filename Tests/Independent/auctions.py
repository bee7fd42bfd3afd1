"""Section 9.16 of Docs/Protocol.md: liquidation by auction."""

from pricing import MONEY, ONE, up
from records import Row
from verify import ALL, NONE

SOLVENT, INSOLVENT, OVERDUE, DELEVERAGING = 1, 2, 3, 4
DAY = 86_400_000


class Auctions:
    def begin_auctions(self):
        self.bids, self.starts = [], 0
        for slot, lock in enumerate(self.locks):
            if lock and lock.until <= self.time:
                self.locks[slot] = None

    def auction_of(self, account):
        for slot, a in enumerate(self.auctions):
            if a and a.account == account:
                return slot
        return None

    def has_adopted(self, batch):
        return batch == NONE or (self.adopted != NONE and batch <= self.adopted)

    # Start

    def notionals(self, account):
        sums = {}
        for i, (q, _) in self.accounts[account].positions.items():
            u = self.instruments[i].underlying
            size = up(abs(q) * self.indices[u][0], MONEY)
            sums[u] = sums.get(u, 0) + size
            sums["all"] = sums.get("all", 0) + size
        for asset, amount in self.collateral_of(account):
            u = self.terms.collaterals[asset].underlying
            size = up(amount * self.multiple[asset] * self.legs[asset][0], MONEY)
            sums[u] = sums.get(u, 0) + size
            sums["all"] = sums.get("all", 0) + size
        return sums

    def collateral_of(self, account):
        """What counts of an account's balances."""
        found = [(asset, self.counted(asset, amount)) for asset, amount in sorted(self.accounts[account].balances.items())]
        return [(asset, amount) for asset, amount in found if amount > 0]

    def start_auction(self, account, equity, maintenance, is_cancelled):
        if self.starts >= self.constant["auction_starts_max"]:
            return
        own, under = self.notionals(account), {}
        for a in self.auctions:
            for key, size in self.notionals(a.account).items() if a and a.phase in (SOLVENT, INSOLVENT) else ():
                under[key] = under.get(key, 0) + size
        for key, size in own.items():
            limit = self.constant["auction_notional_max" if key == "all" else "auction_underlying_notional_max"]
            if size and under.get(key, 0) and under[key] + size > limit:
                return
        self.starts += 1
        if not is_cancelled:
            self.directives.append((1, 0, account, ALL, 0, 0))
        marked, net = self.figures(equity, maintenance)
        fee = 0
        if marked > 0:
            fee = up(marked * self.part_max(marked, net, 0, ONE) * self.constant["auction_fee"], ONE * ONE)
        tranched = self.put_into_fund(fee, own)
        cash = self.move(account, 0, -fee)
        self.auction_count += 1
        auction = Row(account=account, phase=SOLVENT if marked > 0 else INSOLVENT, number=self.auction_count, batch=self.batch,
                      started=self.time, phase_started=self.time, reserved=0, notional=min(own["all"], (1 << 63) - 1), paid=0)
        free = [slot for slot, a in enumerate(self.auctions) if a is None]
        if free:
            self.auctions[free[0]] = auction
        else:
            self.auctions.append(auction)
        self.accounts[account].flags = 3
        self.receipt(11, 0, auction.phase, account, 0, auction.number,
                     (0, self.margin_number, fee, marked, net, auction.notional, 0, tranched, 0, 0, cash))

    def figures(self, equity, maintenance):
        return tuple(max(-1 << 61, min(value // MONEY, 1 << 61)) for value in (equity, equity - maintenance))

    def buffered(self, marked, net):
        return net + (net - marked) * self.constant["auction_buffer"] // ONE

    def part_max(self, marked, net, reserved, discount):
        buffered = self.buffered(marked, net)
        if buffered >= 0:
            return 0
        if marked < 0 or marked < self.constant["auction_cutoff"]:
            return ONE
        below = buffered * ONE - discount * marked - reserved * (ONE - discount)
        return min(ONE, up(-buffered * ONE * ONE, -below)) if below < 0 else ONE

    def discount(self, elapsed):
        first, second = self.constant["auction_start_discount"], self.constant["auction_slow_discount"]
        fast, slow = self.constant["auction_fast_ms"], self.constant["auction_slow_ms"]
        if elapsed < fast:
            return first - up((first - second) * elapsed, fast)
        return second * max(0, slow - (elapsed - fast)) // slow

    # The fund's tranches

    def tranches_of(self, account, amount):
        """[underlying, what its tranche pays of the amount at most], where the account has most notional first."""
        if not self.constant["insurance_tranche_max"] or amount <= 0:
            return []
        own = self.notionals(account)
        there = sorted((u for u, held in enumerate(self.tranches) if held and own.get(u, 0)), key=lambda u: (-own[u], u))
        return [[u, min(self.tranches[u], up(amount * own[u], own["all"]))] for u in there]

    def reach(self, tranches):
        return self.funds[0].insurance + sum(most for _, most in tranches)

    def take_from_fund(self, amount, tranches):
        left = amount
        for tranche in tranches:
            part = min(left, tranche[1])
            self.tranches[tranche[0]] -= part
            tranche[1] -= part
            left -= part
        self.funds[0].insurance -= left
        return amount - left

    def put_into_fund(self, fee, own):
        common, most = fee, self.constant["insurance_tranche_max"]
        for u in range(len(self.tranches)):
            part = min(fee * own[u] // own["all"], most - self.tranches[u]) if most and fee and own.get(u, 0) else 0
            self.tranches[u] += part
            common -= part
        self.funds[0].insurance += common
        return fee - common

    # Bids

    def bid(self, r, bidder):
        self.hit.accounts.add(bidder)
        bid = Row(bidder=bidder, account=r.id, stake=r.x, worst=r.y, part=r.z, slot=self.auction_of(r.id))
        if self.main_of[bidder] == self.main_of[r.id]:
            return self.refuse_bid(bid, 20)
        a = None if bid.slot is None else self.auctions[bid.slot]
        if not a or a.phase not in (SOLVENT, INSOLVENT) or not self.has_adopted(a.batch):
            return self.refuse_bid(bid, 19)
        self.bids.append(bid)

    def refuse_bid(self, bid, code):
        slot = self.auction_of(bid.account)
        self.receipt(13, code, 0, bid.bidder, bid.account, 0 if slot is None else self.auctions[slot].number,
                     (0, 0, 0, 0, bid.stake, bid.worst, bid.part))

    # Phases

    def run_auctions(self):
        for slot in range(len(self.auctions)):
            if self.auctions[slot] is None:
                continue
            offers = [b for b in self.bids if b.slot == slot]
            account = self.auctions[slot].account
            if offers:
                self.book_interest(account)
                for i in sorted(self.accounts[account].positions):
                    self.fund_position(account, i)
            figures = self.advance(slot)
            if figures is None:
                for b in offers:
                    self.refuse_bid(b, 19)
                continue
            if offers:
                self.sell(slot, *figures, offers)
            self.conclude(slot)

    def advance(self, slot):
        a = self.auctions[slot]
        positions = self.accounts[a.account].positions
        if not self.is_exposed(a.account):
            return self.end_auction(slot)
        if any(self.values[i] is None or not self.is_mark_fresh(i) or self.instruments[i].status == 4 for i in positions):
            return None
        if not all(self.is_fresh(self.terms.collaterals[asset].underlying) for asset, _ in self.collateral_of(a.account)):
            return None
        equity, _, requirement, maintenance, _ = self.weigh(a.account)
        if a.phase == OVERDUE:
            return self.end_auction(slot) if equity >= requirement or not positions else None
        marked, net = self.figures(equity, maintenance)
        if marked < 0 and self.call_owner(a.account, -marked):
            equity, _, _, maintenance, _ = self.weigh(a.account)
            marked, net = self.figures(equity, maintenance)
        if self.buffered(marked, net) >= 0:
            return self.end_auction(slot)
        if a.phase == DELEVERAGING:
            self.deleverage(a)
            return None if positions else self.end_auction(slot)
        if a.phase == SOLVENT and a.reserved >= marked:
            a.phase, a.phase_started, a.reserved = SOLVENT if marked > 0 else INSOLVENT, self.time, 0
            self.report(a, marked, net)
        return marked, net

    def conclude(self, slot):
        a = self.auctions[slot]
        if not self.is_exposed(a.account):
            return self.end_auction(slot)
        equity, _, _, maintenance, _ = self.weigh(a.account)
        marked, net = self.figures(equity, maintenance)
        if self.buffered(marked, net) >= 0:
            return self.end_auction(slot)
        c = self.constant
        life = c["auction_insolvent_ms"] if a.phase == INSOLVENT else c["auction_fast_ms"] + c["auction_slow_ms"]
        is_over = self.time - a.phase_started >= life
        if not self.has_adopted(a.batch) or not (is_over or a.phase == INSOLVENT and -marked > self.reach(self.tranches_of(a.account, -marked))):
            return
        reserved, a.phase_started, a.reserved = a.reserved, self.time, 0
        a.phase = DELEVERAGING if a.phase == INSOLVENT else OVERDUE
        if a.phase == OVERDUE:
            self.accounts[a.account].flags = 1
            self.hit.accounts.add(a.account)
        self.report(a, marked, net, reserved=reserved)

    def report(self, a, marked, net, part=0, price=0, reserved=None):
        self.receipt(12, 0, a.phase, a.account, 0, a.number,
                     (self.time - a.phase_started, part, price, marked, net, a.reserved if reserved is None else reserved,
                      0, 0, 0, 0, self.accounts[a.account].cash))

    def end_auction(self, slot):
        a = self.auctions[slot]
        self.receipt(15, 0, a.phase, a.account, 0, a.number,
                     (0, 0, a.paid, a.reserved, 0, 0, 0, 0, 0, 0, self.accounts[a.account].cash))
        self.auctions[slot] = None
        self.accounts[a.account].flags = 1
        self.hit.accounts.add(a.account)

    # Sale

    def sell(self, slot, marked, net, offers):
        a = self.auctions[slot]
        held = sorted((i, q) for i, (q, _) in self.accounts[a.account].positions.items())
        lent = self.collateral_of(a.account)
        elapsed, value, debt, available = self.time - a.phase_started, marked - a.reserved, max(0, -marked), ONE
        tranches = []
        if a.phase == SOLVENT:
            discount = self.discount(elapsed)
            available = self.part_max(marked, net, a.reserved, discount)
            price = up(max(0, value) * discount, ONE)
        else:
            whole = max(-marked, -net) + marked
            whole = whole * min(elapsed, self.constant["auction_insolvent_ms"]) // self.constant["auction_insolvent_ms"] - marked
            payout = debt + min(whole - debt, self.payout_room(a))
            price = -payout
            if payout > 0:
                tranches = self.tranches_of(a.account, payout)
                available = min(ONE, self.reach(tranches) * ONE // payout)
        self.report(a, marked, net, available, price)

        def moves(start, end):
            found = []
            for i, q in held:
                lot = self.instruments[i].lot

                def until(part):
                    return abs(q) if part >= ONE else min(abs(q), up(abs(q) * part, lot * ONE) * lot)
                size = until(end) - until(start)
                if size:
                    found.append((i, size if q > 0 else -size))
            return found

        def parts(start, end):
            found = [(asset, up(amount * end, ONE) - up(amount * start, ONE)) for asset, amount in lent]
            return [(asset, amount) for asset, amount in found if amount]

        def terms(part):
            return value * part // ONE, up(price * part, ONE)
        good, last = [], None
        for b in sorted(offers, key=lambda b: (b.bidder, b.part, b.worst, b.stake)):
            bidder, wanted = self.accounts[b.bidder], min(b.part, available)
            code = (22 if b.bidder == last else 21 if bidder.flags or not self.has_adopted(bidder.closing)
                    else 26 if wanted == 0 else 23 if price > b.worst
                    else self.bid_fault(b, moves(0, wanted), parts(0, wanted), *terms(wanted)))
            if code:
                self.refuse_bid(b, code)
            else:
                good.append((b, wanted))
            last = b.bidder
        all_wanted = sum(wanted for _, wanted in good)
        for_sale = min(available, all_wanted)
        shares = [wanted * for_sale // all_wanted for _, wanted in good]
        left = for_sale - sum(shares)
        for n, (_, wanted) in enumerate(good):
            if left and shares[n] < wanted:
                shares[n] += 1
                left -= 1
        sold = 0
        for (b, _), part in zip(good, shares):
            code = 26 if part == 0 else self.bid_fault(b, moves(sold, sold + part), parts(sold, sold + part), *terms(part))
            if code:
                self.refuse_bid(b, code)
                continue
            taken, given = moves(sold, sold + part), parts(sold, sold + part)
            sold += part
            for i, q in taken:
                self.transfer(i, q, a.account, b.bidder, a.number)
            for asset, amount in given:
                self.hand_collateral(asset, amount, a.account, b.bidder, a.number)
            worth, cost = terms(part)
            cash, tranched = self.move(b.bidder, 0, worth - cost), 0
            if cost < 0:
                tranched = self.take_from_fund(-cost, tranches)
                left_cash = self.move(a.account, 0, -worth)
                self.note_payout(a, held, lent, -cost - debt * part // ONE, b.bidder)
            else:
                received = price * part // ONE
                left_cash = self.move(a.account, 0, received - worth)
                self.funds[0].rounding += cost - received
                if a.phase == SOLVENT:
                    a.reserved += received
            self.accounts[b.bidder].closing = self.batch
            self.receipt(13, 0, 0, b.bidder, a.account, a.number,
                         (0, part, cost, worth, b.stake, b.worst, b.part, 0, 0, tranched, cash, left_cash))

    def requirement_of(self, moves, parts, positions=(), balances=(), apart=False):
        whole, before = {}, dict(balances)
        for i, q in [*positions, *moves]:
            whole[i] = whole.get(i, 0) + q
        after, lost = dict(before), 0
        for asset, amount in parts:
            after[asset] = after.get(asset, 0) + amount
            lost += self.worth(asset, amount)[0] + self.worth(asset, before.get(asset, 0))[0] - self.worth(asset, after[asset])[0]
        return self.requirement(whole.items(), sorted(after.items()), apart)[0] + lost

    def hand_collateral(self, asset, amount, account, bidder, number):
        price = self.legs[asset][0]
        value = price * amount * self.multiple[asset]
        paid, received = up(value, MONEY), value // MONEY
        one, two = self.move(bidder, asset, amount), self.move(account, asset, -amount)
        cash, rest = self.move(bidder, 0, -paid), self.move(account, 0, received)
        self.funds[0].rounding += paid - received
        self.receipt(18, 0, asset, bidder, account, number, (price, amount, paid, received, 0, 0, one, two, 0, 0, cash, rest))

    def bid_fault(self, b, moves, parts, value, price):
        gain = (value - price - len(moves) - len(parts)) * MONEY
        if b.stake * MONEY + gain < self.requirement_of(moves, parts):
            return 24
        a = self.accounts[b.bidder]
        for i, q in moves:
            limit = 64 * self.instruments[i].size_max
            if abs(q) > limit // 4 or abs(a.positions.get(i, (0, 0))[0] + q) > limit:
                return 25
        if len(set(a.positions) | {i for i, _ in moves}) > (1 if a.mode == 8 else self.constant["positions_per_account_max"]):
            return 25
        if self.is_exposed(b.bidder) and not self.is_priceable(b.bidder):
            return 17
        equity, _, requirement, _, _ = self.weigh(b.bidder)
        own = [(i, q) for i, (q, _) in a.positions.items()]
        return 17 if equity < requirement or equity + gain < self.requirement_of(
            moves, parts, own, a.balances.items(), self.is_apart(b.bidder)) else 0

    def transfer(self, i, q, account, bidder, number):
        buyer, seller = (bidder, account) if q > 0 else (account, bidder)
        self.exchange(14, i, abs(q), self.mark(i), buyer, seller, number)

    def exchange(self, kind, i, size, price, buyer, seller, number, level=0, code=0):
        instrument = self.instruments[i]
        paid, received = up(price * size, MONEY), price * size // MONEY
        one = self.net(buyer, instrument, size, -paid, 0)
        two = self.net(seller, instrument, -size, received, 0)
        self.funds[0].rounding += paid - received
        self.receipt(kind, code, i, buyer, seller, number, (price, size, paid, received, level, 0, one[0], two[0], one[1], two[1],
                                                         one[2], two[2]))

    # Payouts beyond a debt

    def paid_today(self, u):
        start, paid = self.payouts[u]
        return 0 if self.time - start >= DAY else paid

    def payout_room(self, a):
        room = a.notional * self.constant["auction_payout_max"] // ONE - a.paid
        for i in self.accounts[a.account].positions:
            u = self.instruments[i].underlying
            room = min(room, self.constant["auction_payout_daily_max"] - self.paid_today(u))
        for asset, _ in self.collateral_of(a.account):
            u = self.terms.collaterals[asset].underlying
            room = min(room, self.constant["auction_payout_daily_max"] - self.paid_today(u))
        return max(0, room)

    def note_payout(self, a, held, lent, payout, bidder):
        if payout <= 0:
            return
        a.paid += payout
        for u in {self.instruments[i].underlying for i, _ in held} | {self.terms.collaterals[n].underlying for n, _ in lent}:
            before = self.paid_today(u)
            self.payouts[u] = (self.payouts[u][0] if before else self.time, before + payout)
        for lock in self.locks:
            if lock and lock.account == bidder:
                lock.amount, lock.until = lock.amount + payout, self.time + DAY
                return
        lock = Row(account=bidder, amount=payout, until=self.time + DAY)
        free = [slot for slot, old in enumerate(self.locks) if old is None]
        if free:
            self.locks[free[0]] = lock
        else:
            self.locks.append(lock)

    def held_of(self, account):
        return (sum(lock.amount for lock in self.locks if lock and lock.account == account)
                + sum(b.stake for b in self.bids if b.bidder == account))

    # Deleveraging

    def deleverage(self, a):
        account = self.accounts[a.account]
        self.book_interest(a.account)
        for i in sorted(account.positions):
            self.fund_position(a.account, i)
        equity, _, _, maintenance, _ = self.weigh(a.account)
        debt = -self.figures(equity, maintenance)[0]
        tranches = self.tranches_of(a.account, debt)
        paid = min(debt, self.reach(tranches))
        if paid > 0:
            tranched = self.take_from_fund(paid, tranches)
            cash = self.move(a.account, 0, paid)
            self.receipt(8, 0, buyer=a.account, numbers=(0, 0, paid, tranched, 0, 0, 0, 0, 0, 0, cash))
        missing = max(0, -self.weigh(a.account)[0])
        held = sorted((i, q) for i, (q, _) in account.positions.items())
        weights = [up(abs(q) * self.indices[self.instruments[i].underlying][0], MONEY) for i, q in held]
        for (i, q), weight in zip(held, weights):
            if self.instruments[i].expires and self.instruments[i].expiry <= self.time:
                continue
            self.close_against(a, i, q, up(up(missing * weight, sum(weights)), abs(q)))
        self.open_epoch(a)

    def close_against(self, a, i, q, shift):
        terms, mark, top = self.instruments[i], self.mark(i), 1 << 120
        price = min(mark + shift, (1 << 63) - 1) if q > 0 else max(0, mark - shift)
        sides = [p for n in range(len(self.accounts)) if n != a.account for p in [self.side(n, i, q < 0, abs(price - mark) * terms.lot)] if p]
        wanted, factor = abs(q) // terms.lot, self.terms.maintenance
        easy, hard = [p.part(0, p.easy()) for p in sides], []
        fits = all(p.fits(top) for p in sides)
        for p, e in zip(sides, easy):
            hedge = self.hedge(p, i, top) if fits and e.lots < p.lots else None
            fits = fits and hedge is not False
            hard.append(p.with_hedge(e.lots, hedge or None))
            fits = fits and hard[-1].is_sound(top)
        if not fits:
            return self.say_level(a, i, price, wanted, 29)
        first = fill_water(easy, min(wanted, sum(p.lots for p in easy)), factor)
        rest = min(sum(p.lots for p in hard), wanted - sum(first[1]))
        second = fill_water(hard, rest, factor) if rest else (0, [0] * len(sides))
        self.say_level(a, i, price, wanted, 0, sides, first, second)
        legs = {}
        for p, one, two in zip(hard, first[1], second[1]):
            if one + two:
                self.accounts[p.account].closing = self.batch
                pair = (p.account, a.account) if q > 0 else (a.account, p.account)
                self.exchange(16, i, (one + two) * terms.lot, price, *pair, a.number, second[0] if two else first[0])
                if self.main_of[p.account] != self.main_of[a.account]:
                    self.note_loss(p.account, (one + two) * terms.lot, price, mark)
            if two and p.hedge and p.hedge[1] * two // p.lots:
                j = p.hedge[0]
                legs.setdefault((j, self.accounts[p.account].positions[j][0] > 0), []).append([p.account, p.hedge[1] * two // p.lots])
        for (j, is_long), parts in sorted(legs.items()):
            self.close_legs(a, j, is_long, parts, top)

    def close_legs(self, a, j, is_long, parts, top):
        """What hedged a position that is gone goes at its mark to those whom it makes no worse."""
        asked, mark, lot = min((1 << 63) - 1, sum(lots for _, lots in parts)), self.mark(j), self.instruments[j].lot
        sides = [p for n in range(len(self.accounts)) if n != a.account for p in [self.side(n, j, not is_long, 0)] if p]
        if not all(p.fits(top) for p in sides) or not all(p.with_hedge(p.easy(), None).is_sound(top) for p in sides):
            return self.say_level(a, j, mark, asked, 29)
        easy = [p.part(0, p.easy()) for p in sides]
        level, given = fill_water(easy, min(asked, sum(p.lots for p in easy)), self.terms.maintenance)
        self.say_level(a, j, mark, asked, 30, sides, (level, given))
        for p, left in zip(sides, given):
            if left:
                self.accounts[p.account].closing = self.batch
            while left:
                one = parts[0]
                lots = min(left, one[1])
                pair = (p.account, one[0]) if is_long else (one[0], p.account)
                self.exchange(16, j, lots * lot, mark, *pair, a.number, level, 30)
                left, one[1] = left - lots, one[1] - lots
                if not one[1]:
                    parts.pop(0)

    def say_level(self, a, i, price, asked, code, sides=(), first=(0, ()), second=(0, ())):
        gave = sum(1 for n in range(len(sides)) if first[1][n] or second[1] and second[1][n])
        self.receipt(22, code, i, a.account, len(sides), a.number, (
            price, asked, sum(first[1]), sum(second[1]), first[0], second[0], asked - sum(first[1]) - sum(second[1]), gave))

    def side(self, number, i, is_long, loss):
        """An account as one that may close its position in a contract."""
        other, terms = self.accounts[number], self.instruments[i]
        own = other.positions.get(i, (0, 0))[0]
        if (other.flags & 2 or not self.has_adopted(other.closing) or own == 0 or (own > 0) != is_long
                or any(self.values[n] is None for n in other.positions) or not any(map(self.is_mark_fresh, other.positions))):
            return None
        equity, sums, _, _, core = self.weigh(number)
        if equity <= 0:
            return None
        total = sums[self.page(i, self.is_apart(number))]
        step = [-u * terms.lot if is_long else u * terms.lot for u in self.units(i)]
        return Path(number, self.closable(i, own), equity, loss, max(0, core + min(0, *total)), total, step)

    def closable(self, i, q):
        return min(abs(q), 16 * self.instruments[i].size_max) // self.instruments[i].lot

    def hedge(self, side, i, top):
        """The leg that leaves least without the position, how much of it, and its unit; False beyond all figures."""
        if self.is_apart(side.account):
            return None
        bare = [s + side.lots * d for s, d in zip(side.start, side.step)]
        best, least = None, side.base - min(0, *bare)
        for j, (q, _) in sorted(self.accounts[side.account].positions.items()):
            terms = self.instruments[j]
            if (j == i or terms.underlying != self.instruments[i].underlying or not self.is_mark_fresh(j) or terms.status == 4
                    or terms.expires and terms.expiry <= self.time or not self.closable(j, q)):
                continue
            step = [-u * terms.lot if q > 0 else u * terms.lot for u in self.units(j)]
            leg = Path(side.account, self.closable(j, q), 0, 0, side.base, bare, step)
            if not leg.fits(top):
                return False
            lots = first_of(0, leg.lots, lambda n: leg.requirement(n + 1) >= leg.requirement(n))
            if leg.requirement(lots) < least:
                best, least = (j, lots, step), leg.requirement(lots)
        return best


class Path:
    """An account as lot after lot of a position is closed: requirement and equity (quant.md 3.4)."""

    def __init__(self, account, lots, equity, loss, base, start, step):
        self.account, self.lots, self.equity, self.loss, self.base = account, lots, equity, loss, base
        self.start, self.step = start, step
        self.hedge, self.bounds = None, ()

    def requirement(self, n):
        return self.base - min(0, *(s + n * d for s, d in zip(self.start, self.step)))

    def part(self, start, end):
        return Path(self.account, end - start, self.equity - start * self.loss, self.loss, self.base,
                    [s + start * d for s, d in zip(self.start, self.step)], self.step)

    def easy(self):
        return first_of(0, self.lots, lambda n: self.requirement(n + 1) > self.requirement(n))

    def with_hedge(self, easy, hedge):
        """The lots after the easy ones, every figure times their number, with the part of the leg that goes with all of them."""
        count = self.lots - easy
        factor = max(1, count)
        start = [(s + easy * d) * factor for s, d in zip(self.start, self.step)]
        own, leg = [d * factor for d in self.step], [hedge[1] * d for d in hedge[2]] if hedge else [0] * len(self.step)
        rest = Path(self.account, count, (self.equity - easy * self.loss) * factor, self.loss * factor, self.base * factor, start,
                    [x + y for x, y in zip(own, leg)])
        rest.hedge, rest.bounds = hedge, own + leg
        return rest

    def is_sound(self, top):
        return self.fits(top) and all(abs(x) < top for x in self.bounds)

    def fits(self, top):
        """Whether every figure stays below what the machine's plan holds."""
        rows = [(self.equity, self.loss), *zip(self.start, self.step)]
        return self.base < top and all(abs(s) < top and abs(d) < top and abs(d) * self.lots < top for s, d in rows)

    def least(self, level, factor):
        def within(n):
            return self.requirement(n) * factor <= (self.equity - n * self.loss) * level
        if level < 0:
            return self.lots
        if level > (1 << 63) - 2:
            return 0
        turn = first_of(0, self.lots, lambda n: -self.loss * level <= (self.requirement(n + 1) - self.requirement(n)) * factor)
        return first_of(0, turn, within) if within(turn) else self.lots


def first_of(low, high, holds):
    while low < high:
        middle = low + (high - low) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def fill_water(paths, lots, factor):
    """The highest level at which enough is closed, and what each gives."""
    level = first_of(0, (1 << 63) - 1, lambda at: sum(p.least(at, factor) for p in paths) < lots) - 1
    parts, high = [p.least(level + 1, factor) for p in paths], [p.least(level, factor) for p in paths]
    left, gaps = lots - sum(parts), [h - p for h, p in zip(high, parts)]
    turns = first_of(0, max(gaps, default=0), lambda n: sum(min(gap, n + 1) for gap in gaps) > left)
    for n, gap in enumerate(gaps):
        parts[n] += min(gap, turns)
        left -= min(gap, turns)
    for n in range(len(parts)):
        if left > 0 and parts[n] < high[n]:
            parts[n] += 1
            left -= 1
    return level, parts
