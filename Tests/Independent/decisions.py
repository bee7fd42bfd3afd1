"""Section 14 of Docs/Protocol.md: a directed close, or an auction's start, decided again from one account and its market."""

import struct

from clearing import Clearing
from pricing import Terms, valuation
from records import Instrument, Market, Row
from verify import ZERO, Reader, indexed_path_root, leaf, log_path_root, merkle, need, object_id, pool, sha

SIZES = {1: 128, 2: 24, 3: 528, 4: 2048, 5: 552, 6: 64, 7: 64, 8: 104}


def decision(data, fill, header, genesis):
    """What the close went by, in words; fails unless the rules give the receipt that was signed."""
    reader = Reader(data)
    before = reader.take(352)
    heads = reader.list(4_096, 408)
    receipt, place = reader.take(128), reader.number("Q")
    path = reader.list(64, 32)
    need(object_id("novate/exec-header/1", genesis.network, before) == header[56:88], "the header before")
    known, (credit,) = struct.unpack_from("<Q", before, 152)[0], struct.unpack_from("<Q", header, 152)
    expected = header[160:192]
    for number, head in zip(range(credit, -1, -1), heads):
        need(object_id("novate/clear-header/1", genesis.network, head) == expected
             and struct.unpack_from("<Q", head, 40)[0] == number, "Clearances adopted")
        expected = head[88:120]
    batch = credit - len(heads) + 1
    need(heads and credit != 2 ** 64 - 1 and (known == 2 ** 64 - 1 or batch > known), "adopted before")
    count, = struct.unpack_from("<I", heads[-1], 344)
    need(log_path_root(leaf(receipt), place, count, path) == heads[-1][184:216], "the receipt's path")

    price, quantity = struct.unpack_from("<qq", receipt, 24)
    taker, traded, size = struct.unpack_from("<Iqq", fill, 20)
    need(receipt[0] == 19 and receipt[4:8] == fill[4:8] and receipt[8:12] == fill[20:24], "another decision")
    need(fill[2] == int(quantity < 0) and size <= abs(quantity)
         and (traded <= price if quantity > 0 else traded >= price), "more than was directed")
    house = shown(reader, taker, heads[-1][152:184], batch, genesis)
    reader.end()
    need(house.decide(taker) == receipt, "another decision than the rules give")
    asked, owned, kept = struct.unpack_from("<qqq", receipt, 40)
    return f"account {taker} owned {owned / 1e6} in batch {batch}, maintenance {kept / 1e6} of {asked / 1e6}"


def auction_start(data, number, header, genesis):
    """Why an auction began, in words; fails unless the rules give the receipt that was signed."""
    reader = Reader(data)
    receipt, place = reader.take(128), reader.number("Q")
    count, = struct.unpack_from("<I", header, 344)
    need(log_path_root(leaf(receipt), place, count, reader.list(64, 32)) == header[184:216], "the receipt's path")
    account, = struct.unpack_from("<I", receipt, 8)
    fee, owned, above = struct.unpack_from("<qqq", receipt, 40)
    need(receipt[0] == 11 and struct.unpack_from("<Q", receipt, 16)[0] == number > 0 and fee >= 0, "another decision")
    batch, = struct.unpack_from("<Q", header, 40)
    house = shown(reader, account, header[152:184], batch, genesis, (number, fee))
    reader.end()
    again = house.start(account, number)
    tranched, = struct.unpack_from("<q", receipt, 80)
    if 0 <= tranched <= struct.unpack_from("<q", again, 80)[0]:
        again = again[:80] + receipt[80:88] + again[88:]
    need(again == receipt, "another decision than the rules give")
    return f"auction {number} of account {account}, which owned {owned / 1e6} in batch {batch}, {-above / 1e6} short"


def shown(reader, account, root, batch, genesis, started=None):
    """A clearing house that knows one account, from records that lead to the state root."""
    number, fields = reader.number("I"), reader.list(8, 32)
    need(number == account and len(fields) == 8, "the account")
    positions, balances = (reader.take(reader.number("I")) for _ in range(2))
    need(fields[2] == sha(positions) and fields[1] == (sha(balances) if balances else ZERO)
         and fields[4][:4] == struct.pack("<I", account), "the account's lists")
    tree = indexed_path_root(merkle(8, fields), account, reader)
    roots = [reader.take(32) for _ in range(16)]
    oracle, parameters, liquidation = ([reader.take(32) for _ in range(n)] for n in (4, 3, 3))
    need(roots[0] == tree and merkle(16, roots) == root, "the account under the state root")
    need([merkle(4, oracle), merkle(4, parameters), merkle(4, liquidation)] == [roots[2], roots[3], roots[6]]
         and parameters[0] == sha(genesis.constants, genesis.rules), "roots of pools")
    above = {1: roots[1], 2: oracle[0], 3: oracle[3], 4: parameters[2], 5: roots[4], 6: liquidation[0], 7: roots[15], 8: roots[5]}
    records = {kind: {} for kind in SIZES}
    for _ in range(reader.number("I")):
        kind, _, slot = reader.unpack("HHI")
        records[kind][slot] = reader.take(SIZES[kind])
        need(indexed_path_root(sha(records[kind][slot]), slot, reader) == above[kind], "a record's path")
    slices = reader.list(1 << 20, 72)
    need(pool(slices) == oracle[1], "the slices")
    return One(genesis, account, fields, positions, balances, records, slices, batch, started)


class One(Clearing):
    """Section 9.11 for one account; `started` holds number and fee of an auction that began."""

    def __init__(self, genesis, number, fields, positions, balances, records, slices, batch, started):
        Market.__init__(self, genesis)
        self.begin()
        self.minutes = [Row(doubt=0, doubtful=0) for _ in genesis.underlyings]
        status = records[7][0]
        self.batch, self.time = struct.unpack_from("<Qq", status)
        self.margin_number, = struct.unpack_from("<Q", status, 48)
        need(self.batch == batch + 1, "the status")
        self.batch = batch
        self.terms = Terms(records[4][self.margin_number])
        cash, start, owed = struct.unpack("<q16sq", fields[0])
        interest = records[8][0][80:96]
        self.funds = [Row(interest=int.from_bytes(interest, "little"), insurance=0)]
        flags, closing = struct.unpack_from("<QQ", fields[3])
        auctions = [struct.unpack_from("<IIQQ", a) for a in records[6].values()]
        if started:
            need(flags & 3 == 3 and any((who, its, began) == (number, started[0], batch) for who, _, its, began in auctions),
                 "an auction that began")
            cash, flags = cash + started[1], flags & 12
        else:
            need(flags & 3 == 1 and closing == batch, "an account that was told to close")
            need(not self.constant["auction_fast_ms"] or any(a[:2] == (number, 3) for a in auctions), "an overdue auction")
        held, funding = {}, {}
        for at in range(36, len(positions), 44):
            i, q, c, paid, booked = struct.unpack_from("<Iqq16sq", positions, at)
            held[i], funding[i] = (q, c), (int.from_bytes(paid, "little", signed=True), booked)
        self.accounts = {number: Row(cash=cash, flags=flags & 3, mode=flags & 12, closing=closing, positions=held, funding=funding,
                                     debt=(int.from_bytes(start, "little", signed=True), owed),
                                     balances=dict(struct.unpack_from("<Hq", balances, at) for at in range(36, len(balances), 10)))}
        self.instruments = {i: Instrument(records[1][i]) for i in held}
        counted = [c.underlying for asset, c in self.terms.collaterals.items() if asset in self.accounts[number].balances]
        for u in counted + [i.underlying for i in self.instruments.values()]:
            doubt, *index = struct.unpack_from("<Iqq", records[2][u], 4)
            self.indices[u] = *index, doubt
        for i in self.instruments.values():
            self.minutes[i.underlying].doubt, self.minutes[i.underlying].doubtful = struct.unpack_from(
                "<qQ", records[3][i.underlying], 16)
        self.slices = {}
        for data in slices:
            u, expiry, forward, *svi, time = struct.unpack("<H6xqq5qq", data)
            self.slices[u, expiry] = forward, tuple(svi), time
        grown = {struct.unpack_from("<I", p)[0]: int.from_bytes(p[528:544], "little", signed=True) for p in records[5].values()}
        self.perpetuals = {i: Row(index=grown[i]) for i, terms in self.instruments.items() if terms.kind == 3}
        self.reprice()

    def reprice(self):
        self.values = {}
        for i, terms in self.instruments.items():
            index, time, doubt = self.indices[terms.underlying]
            self.values[i] = valuation(terms, index, self.slices, self.terms, self.front(terms.underlying, time), time, doubt)
        self.price_legs()

    def shortfall(self, number):
        need(self.is_priceable(number), "marks")
        equity, sums, requirement, kept, _ = self.weigh(number)
        need(equity < kept and not self.is_held_back(number, kept - equity), "what was not due")
        return equity, sums, requirement, kept

    def start(self, number, auction):
        need(self.constant["auction_fast_ms"], "auctions")
        self.starts, self.auctions, self.auction_count, self.tranches = 0, [], auction - 1, [0] * len(self.genesis.underlyings)
        equity, _, _, kept = self.shortfall(number)
        self.start_auction(number, equity, kept, True)
        return self.receipts[-1]

    def decide(self, number):
        need(self.accounts[number].positions, "positions")
        equity, sums, requirement, kept = self.shortfall(number)
        close = self.what_to_close(number, sums, equity, requirement)
        need(close, "nothing to close")
        self.close_receipt(close, sums, equity, requirement, kept)
        return self.receipts[-1]
