"""Section 9.19 of Docs/Protocol.md: losses that others bore, and what comes back of them."""

import struct

from pricing import MONEY, ONE
from records import Row

SHARES, VISITS = 65_536, 1_024


class Losses:
    def begin_losses(self):
        self.epochs, self.shares, self.borne = [], [], []
        self.repay_from = self.repay_left = self.fund_before = 0

    def epoch_rows(self):
        return [struct.pack("<QQIIqqq", e.number, e.batch, e.account, e.shares, e.loss, e.recovered, e.repaid) if e else bytes(48)
                for e in self.epochs]

    def share_rows(self):
        return [struct.pack("<IIqq", s.epoch + 1, s.account, s.loss, s.repaid) if s else bytes(24) for s in self.shares]

    def note_loss(self, account, size, price, mark):
        amount = abs(price - mark) * size // MONEY
        if self.constant["loss_epochs_max"] and 0 < amount <= (1 << 62) - 1:
            self.borne.append((account, amount))

    def open_epochs(self):
        """Oldest first."""
        return sorted((n for n, e in enumerate(self.epochs) if e), key=lambda n: (self.epochs[n].batch, self.epochs[n].number))

    @staticmethod
    def free_slot(rows):
        for slot, row in enumerate(rows):
            if row is None:
                return slot
        rows.append(None)
        return len(rows) - 1

    def open_epoch(self, auction):
        parts, self.borne = self.borne[:SHARES], []
        if not parts:
            return
        while self.open_epochs() and (len(self.open_epochs()) >= self.constant["loss_epochs_max"]
                                      or sum(1 for s in self.shares if s) + len(parts) > SHARES):
            self.close_epoch(self.open_epochs()[0])
        slot = self.free_slot(self.epochs)
        self.epochs[slot] = Row(number=auction.number, batch=self.batch, account=auction.account, shares=len(parts),
                                loss=sum(amount for _, amount in parts), recovered=0, repaid=0)
        for account, amount in parts:
            place = self.free_slot(self.shares)
            self.shares[place] = Row(epoch=slot, account=account, loss=amount, repaid=0)

    def close_epoch(self, slot):
        e = self.epochs[slot]
        for place, share in enumerate(self.shares):
            if share and share.epoch == slot:
                self.repay(place)
        if self.epochs[slot] is None:
            return
        self.shares = [None if s and s.epoch == slot else s for s in self.shares]
        self.funds[0].insurance += e.recovered - e.repaid
        self.receipt(23, 31, 0, e.account, 0, e.number, (0, 0, e.recovered - e.repaid, e.recovered, e.loss))
        self.epochs[slot] = None

    def run_recoveries(self):
        if not any(self.shares):
            return
        grown, found = self.funds[0].insurance - self.fund_before, False
        for slot in self.open_epochs():
            e = self.epochs[slot]
            for payer in self.group(e.account):
                if payer not in self.hit.accounts or e.loss == e.recovered:
                    continue
                amount = min(e.loss - e.recovered, self.spare_cash(payer))
                if amount > 0:
                    cash, found = self.move(payer, 0, -amount), True
                    e.recovered += amount
                    self.receipt(23, 28, 0, e.account, payer, e.number, (0, 0, amount, e.recovered, e.loss, 0, 0, 0, 0, 0, 0, cash))
        beyond = self.funds[0].insurance - self.constant["insurance_target"]
        left = max(0, min(grown, beyond)) * self.constant["loss_recovery"] // ONE
        for slot in self.open_epochs():
            e = self.epochs[slot]
            part = min(left, e.loss - e.recovered)
            if part > 0:
                left, found = left - part, True
                self.funds[0].insurance -= part
                e.recovered += part
                self.receipt(23, 0, 0, e.account, 0, e.number, (0, 0, part, e.recovered, e.loss))
        if found:
            self.repay_left = len(self.shares)
        for _ in range(min(VISITS, self.repay_left)):
            place = self.repay_from % len(self.shares)
            if self.shares[place]:
                self.repay(place)
            self.repay_from, self.repay_left = (place + 1) % len(self.shares), self.repay_left - 1

    def repay(self, place):
        share = self.shares[place]
        e = self.epochs[share.epoch]
        paid = share.loss * e.recovered // e.loss - share.repaid
        if paid <= 0:
            return
        share.repaid += paid
        e.repaid += paid
        cash = self.move(share.account, 0, paid)
        self.receipt(24, 0, 0, share.account, e.account, e.number, (0, 0, paid, share.repaid, share.loss, 0, 0, 0, 0, 0, cash))
        if share.repaid == share.loss:
            self.shares[place] = None
            e.shares -= 1
            if e.shares == 0:
                self.epochs[share.epoch] = None
