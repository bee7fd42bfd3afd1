#!/usr/bin/env python3
"""A second reader of Docs/Protocol.md, written from that page alone: standard library, no package.

  python3 Tests/Independent/verify.py GENESIS_JSON          prints network id and genesis roots
  python3 Tests/Independent/verify.py FILE.nvb [HASH]       checks framing, chain, proofs and log

It decodes every batch and Clearance of a range file, recomputes ids, body hashes, transaction, event and log roots and
the linkage of roots, and compares the roots before the first batch with those of its own genesis state or of the file's
pre-state. Of account and trade files it follows the proof to the checkpoint. It checks no signature and replays no rule:
replay.py does the latter. Exit 0 when all agrees, 1 otherwise.
"""

import base64
import hashlib
import json
import struct
import sys
from datetime import datetime, timezone
from decimal import Decimal

ALL, NONE = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
ZERO = bytes(32)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tag(name):
    return name.encode().ljust(32, b"\0")


def object_id(name, network, data):
    return sha(tag(name), network, data)


# 2.1 to 2.4: trees

def log_root(leaves):
    if not leaves:
        return sha()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\1", log_root(leaves[:half]), log_root(leaves[half:]))


def leaf(data):
    return sha(b"\0", data)


def log_path_root(node, index, size, path):
    """RFC 9162, 2.1.3.2: the root that a leaf's path leads to."""
    need(index < size, "log proof beyond the log")
    last = size - 1
    for sibling in path:
        need(last > 0, "log proof too long")
        if index & 1 or index == last:
            node = sha(b"\1", sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha(b"\1", node, sibling)
        index, last = index >> 1, last >> 1
    need(last == 0, "log proof too short")
    return node


class Log:
    """A log tree by the roots of its full subtrees, largest first."""

    def __init__(self, size=0, peaks=()):
        self.size, self.peaks = size, list(peaks)

    def append(self, node):
        size = self.size
        while size & 1:
            node = sha(b"\1", self.peaks.pop(), node)
            size >>= 1
        self.peaks.append(node)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha()
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = sha(b"\1", peak, node)
        return node


def merkle(width, chunks):
    level = list(chunks) + [ZERO] * (width - len(chunks))
    while len(level) > 1:
        level = [sha(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


EMPTY = [ZERO]
for _ in range(32):
    EMPTY.append(sha(EMPTY[-1], EMPTY[-1]))


def indexed(leaves):
    level = list(leaves)
    for depth in range(32):
        if len(level) % 2:
            level.append(EMPTY[depth])
        level = [sha(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0] if level else EMPTY[32]


def pool(records, page=1):
    pages = [b"".join(records[i:i + page]) for i in range(0, len(records), page)]
    return indexed([sha(p) for p in pages])


class Failure(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Failure(text)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(len(self.data) - self.at >= count, f"truncated at {self.at}")
        self.at += count
        return self.data[self.at - count:self.at]

    def unpack(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def number(self, form):
        return self.unpack(form)[0]

    def list(self, maximum, size):
        count = self.number("I")
        need(count <= maximum, f"list of {count}, at most {maximum}")
        return [self.take(size) for _ in range(count)]

    def end(self):
        need(self.at == len(self.data), f"trailing bytes at {self.at}")


# 4: genesis

CONSTANTS = """drift_max_ms heartbeat_ms run_ahead_max grant_age_max_ms activation_notice
bundle_life_max_ms open_orders_per_account_max keys_per_account_max positions_per_account_max
bundles_per_second_max deposit_for_new_account_min deposits_total_max oracle_quorum
oracle_staleness_ms close_band witness_quorum withdrawal_min
funding_rate_max oracle_deviation_max confidence_band hold_back_batches_max
outflow_daily_max profit_counted_max auction_fast_ms auction_slow_ms auction_insolvent_ms
auction_buffer auction_start_discount auction_slow_discount auction_cutoff auction_fee
auction_notional_max auction_underlying_notional_max auction_starts_max auction_payout_max
auction_payout_daily_max loss_epochs_max loss_recovery insurance_target insurance_tranche_max""".split()
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()


def scaled(text, digits):
    return int(Decimal(text).scaleb(digits))


def expiry(text):
    day, _, clock = text.partition("T")
    moment = datetime(2000 + int(day[-2:]), MONTHS.index(day[-5:-2]) + 1, int(day[:-5]),
                      int(clock[:2] or 8), int(clock[2:] or 0), tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1000


def instrument(number, item, underlyings):
    parts = item["name"].split("-")
    strike = option = time = 0
    if parts[1] == "PERP":
        kind = 3
    else:
        time, kind = expiry(parts[1]), 2
        if len(parts) == 4:
            kind, option = 1, {"C": 1, "P": 2}[parts[3]]
            strike = scaled(parts[2].replace("d", "."), 8)
    head = struct.pack("<IHBB8q", number, underlyings.index(parts[0]), kind, option, strike, time,
                       scaled(item["tick"], 8), scaled(item["lot"], 8),
                       scaled(item["order_quantity_max"], 8), scaled(item["price_max"], 8),
                       scaled(item["maker_fee"], 9), scaled(item["taker_fee"], 9))
    tiers = item["fee_tiers"], item["fee_tier_maker_step"], item["fee_tier_taker_step"], item["settlement_samples"]
    return head + struct.pack("<BBHHH16xIIqqq", 1, *tiers, item["call_ms"], item["auction_interval_ms"],
                              scaled(item["daily_volume"], 8),
                              scaled(item["price_band"], 9), scaled(item["fee_tier_volume"], 6))


# 4.5: the margin terms' ratios, in their order

MARGIN = """vol_shock.range_up vol_shock.range_down vol_shock.min_vol_up vol_shock.short_power vol_shock.long_power
vol_shock.dte_floor_days basis.add basis.mult confidence.threshold confidence.factor depeg.threshold depeg.factor mm_factor
im_factor lambda minimum.net_delta minimum.hedged_delta minimum.short_option tilt.skew tilt.term""".split()
SPAN = "price_scan_ratio vol_scan_range extreme_multiple extreme_cover".split()


def margin_bytes(value):
    code = {"novate-32": 1, "span-16": 3}[value["method"]]
    span = [0] * 5
    if code == 3:
        span = [scaled(value[name], 9) for name in SPAN] + [int(value["lookahead_ms"])]
        # What the method does not read is zero.
        none = {group: {} for group in ("vol_shock", "basis", "tilt", "minimum")}
        for group, name in (field.split(".") for field in MARGIN if "." in field):
            none.get(group, {})[name] = "0"
        none["minimum"]["short_option"] = value["short_option_minimum"]
        value = value | none | {"scenarios": []}

    def ratio(name):
        inner = value
        for word in name.split("."):
            inner = inner[word]
        return scaled(inner, 9)
    slopes = [(scaled(s["from"], 9), scaled(s["rate"], 9)) for s in value["concentration"]]
    slopes += [(0, 0)] * (3 - len(slopes))
    scenarios = [struct.pack("<qIBBH", scaled(s["spot"], 9), scaled(s["dampening"], 9),
                             ["up", "none", "down"].index(s["vol"]) + 1, 0, 0) for s in value["scenarios"]]
    return (struct.pack("<BBHI", code, len(scenarios), 0, 0) + struct.pack("<20q", *map(ratio, MARGIN))
            + b"".join(struct.pack("<qq", *s) for s in slopes) + struct.pack("<qqqQ8x", scaled(value["interest"], 9), ratio("open_interest.lower"),
                                                                                       ratio("open_interest.upper"), int(value.get("peg", -1)) + 1)
            + b"".join(scenarios).ljust(512, b"\0") + collateral_bytes(value["collateral"])
            + struct.pack("<5q", *span).ljust(512, b"\0"))


def collateral_bytes(rows):
    out = bytearray(768)
    for row in rows:
        numbers = [int(row[name]) for name in ("account_max", "cap_start", "cap_end", "listed_ms")]
        struct.pack_into("<HHIIIqqqq", out, 48 * int(row["asset"]), int(row["underlying"]) + 1, 0, scaled(row["haircut"], 9),
                         scaled(row["initial_haircut_add"], 9), int(row["ageing_s"]), *numbers)
    return bytes(out)


def genesis_bytes(text):
    value = json.loads(text)

    def name(text, size):
        return text.encode().ljust(size, b"\0")

    def items(rows):
        return struct.pack("<I", len(rows)) + b"".join(rows)

    def account(number):
        return struct.pack("<I", number)

    members = value["governance"]
    out = struct.pack("<HHHH", value["format"], 0, members["threshold"], 0)
    out += name(value["name"], 32) + struct.pack("<q", value["start_time_ms"])
    for role in ("execution", "clearing", "settlement"):
        out += bytes.fromhex(value[role]["object"]) + bytes.fromhex(value[role]["handshake"])
    notes = [value["settlement_note"]] + value["witnesses"]
    notes = [name(n["name"], 32) + bytes.fromhex(n["key"]) for n in notes]
    out += notes[0] + items(notes[1:])
    out += items([bytes.fromhex(key) for key in value["accounts"]])
    out += items([name(a["name"], 16) + struct.pack("<B3xI", a["scale"], a["custodian"])
                  for a in value["assets"]])
    out += items([name(u, 16) for u in value["underlyings"]])
    out += items([account(a) for a in value["publishers"]])
    out += items([account(a) for a in members["members"]])
    out += items([instrument(n, i, value["underlyings"])
                  for n, i in enumerate(value["instruments"])])
    out += struct.pack(f"<{len(CONSTANTS)}q", *(value["constants"][c] for c in CONSTANTS))
    return out + margin_bytes(value["margin"]) + bytes.fromhex(value["rule_set"])


class Genesis:
    def __init__(self, data):
        reader = Reader(data)
        form, _, self.threshold, _ = reader.unpack("HHHH")
        need(form == 1, "genesis format")
        reader.take(32)
        self.start = reader.number("q")
        self.keys = [reader.take(32) for _ in range(6)]
        self.origin = reader.take(32).rstrip(b"\0").decode()
        reader.take(32)
        reader.list(16, 64)
        self.accounts = reader.list(65_536, 32)
        self.assets = reader.list(16, 24)
        self.underlyings = reader.list(64, 16)
        self.publishers = [int.from_bytes(account, "little") for account in reader.list(16, 4)]
        self.members = [int.from_bytes(account, "little") for account in reader.list(16, 4)]
        self.instruments = reader.list(4_096, 128)
        self.constants, self.margin, self.rules = reader.take(8 * len(CONSTANTS)), reader.take(2048), reader.take(32)
        reader.end()
        self.network = sha(tag("novate/genesis/1"), data)

    def execution_root(self):
        """8.1 and 11.1 at genesis."""
        forever = (1 << 63) - 1
        keys = [owner + struct.pack("<IIIIQQqQQII", n, 0, ALL, 1, 0, NONE, forever, 0, 0, 0, 0)
                for n, owner in enumerate(self.accounts)]
        credits = [struct.pack("<qqIIIIIHHq", 0, 0, 0, n + 1, 0, 0, 0, 1, 0, 0)
                   for n in range(len(self.accounts))]
        status = struct.pack("<QqQQQq", 0, self.start, 1, 1, NONE, 0) + ZERO
        status += struct.pack("<II40x", 1, 0)
        none = pool([])
        calls = [struct.pack("<qI4x", 0, int(any(i[96:104]))) for i in self.instruments]
        market = merkle(4, [pool(self.instruments), pool(self.indices()), none, pool(calls, 16)])
        return merkle(8, [pool(keys, 16), sha(pool(credits, 16), none), none, none, none, market,
                          pool([status]), merkle(8, [none] * 4 + [pool([self.margin]), none])])

    def indices(self):
        return [struct.pack("<HHIqq", n, 0, 0, 0, 0) for n in range(len(self.underlyings))]

    def state_root(self):
        """9.1 and 11.2 at genesis."""
        def chunk(*words):
            return struct.pack(f"<{len(words)}Q", *words).ljust(32, b"\0")
        none = pool([])
        accounts = indexed([
            merkle(8, [ZERO, ZERO, ZERO, chunk(0, NONE), chunk(n), owner, ZERO, ZERO])
            for n, owner in enumerate(self.accounts)])
        roots = [ZERO] * 16
        roots[0], roots[1] = accounts, pool(self.instruments)
        roots[2] = merkle(4, [pool(self.indices()), none, none, pool([bytes(528)] * len(self.underlyings))])
        roots[3] = merkle(4, [sha(self.constants, self.rules), none, pool([self.margin])])
        roots[4] = pool([struct.pack("<I20xq520x", n, self.start // 60_000)
                         for n, i in enumerate(self.instruments) if i[6] == 3])
        roots[5], roots[7] = pool([bytes(104)] * len(self.assets)), none
        roots[6] = merkle(4, [none, none, pool([bytes(24)] * len(self.underlyings))])
        roots[8] = sha(none, none)
        roots[15] = pool([struct.pack("<QqII40x", 0, self.start, 1, 0)])
        return merkle(16, roots)


# 5 to 7: what batches hold

RECORDS = {10: 2, 11: 4, 12: 3, 24: 5, 26: 33}
KINDS = {*range(1, 25), 26, 27, 28}


def action_records(kind, c):
    return 1 + c if kind in (17, 20) else RECORDS.get(kind, 1)


def bundle(reader):
    start = reader.at
    header = reader.take(96)
    flags, actions = struct.unpack_from("<HH", header, 52)
    records, = struct.unpack_from("<H", header, 88)
    need(flags == 0 and 1 <= actions <= 256 and actions <= records <= 512, "bundle header")
    need(header[90:] == bytes(6), "bundle reserved")
    body = reader.take(64 * records)
    need(sha(body) == header[56:88], "actions hash")
    place = 0
    for _ in range(actions):
        need(place < records and body[64 * place] in KINDS, "action kind")
        place += action_records(body[64 * place], body[64 * place + 3])
    need(place == records, "records of actions")
    reader.take(64)
    return reader.data[start:reader.at]


def batch_roots(body):
    reader = Reader(body)
    count, events = reader.unpack("II")
    bundles = [bundle(reader) for _ in range(count)]
    records = [reader.take(64) for _ in range(events)]
    reader.end()
    for record in records:
        need(record[0] in (1, 2, 3), "event kind")
        need(record[16:] == bytes(48) if record[0] == 2 else record[56:] == bytes(8), "event")
    return count, events, log_root([leaf(b) for b in bundles]), log_root([leaf(r) for r in records])


SIZES = [40, 16, 16, 24, 24, 72, 128, 32, 2048]


def clearance_counts(body):
    counts = struct.unpack_from("<9I", body)
    size = 36 + sum(c * s for c, s in zip(counts, SIZES))
    need(size == len(body), "Clearance body length")
    return counts[1], counts[3], counts[7]


# 14: proofs

def indexed_path_root(node, index, reader):
    """2.3: a bitmap, then the siblings that are not those of an empty tree."""
    bitmap = reader.number("I")
    for level in range(32):
        sibling = EMPTY[level]
        if bitmap >> level & 1:
            sibling = reader.take(32)
            need(sibling != EMPTY[level], "a sibling of an empty tree is given")
        node = sha(sibling, node) if index >> level & 1 else sha(node, sibling)
    return node


def account_proof(data, subject, root):
    reader = Reader(data)
    account, count = reader.unpack("II")
    need(account == subject and count in (0, 8), "account proof head")
    fields = [reader.take(32) for _ in range(count)]
    positions, balances = (reader.take(reader.number("I")) for _ in range(2))
    for chunk, disclosed in ((2, positions), (1, balances)):
        expected = sha(disclosed) if disclosed else ZERO
        need(not count and not disclosed or count and fields[chunk] == expected, "disclosed list")
    if count:
        need(fields[4][:4] == struct.pack("<I", account), "account of the leaf")
    accounts = indexed_path_root(merkle(8, fields) if count else ZERO, account, reader)
    roots = [reader.take(32) for _ in range(16)]
    reader.end()
    need(roots[0] == accounts and merkle(16, roots) == root, "account under the state root")
    if not count:
        return f"account {account} does not exist"
    return f"account {account}, cash {struct.unpack('<q', fields[0][:8])[0] / 1e6:.6f}"


def trade_proof(data, subject, header, head, network):
    reader = Reader(data)
    parts = []
    for size in (64, 128):
        record, index = reader.take(size), reader.number("Q")
        parts.append((record, index, reader.list(64, 32)))
    reader.end()
    (fill, event, events), (receipt, place, receipts) = parts
    need(head[56:88] == object_id("novate/exec-header/1", network, header), "headers of one batch")
    trade, maker, taker, price, quantity = struct.unpack_from("<QIIqq", fill, 8)
    need(fill[0] == 1 and trade == subject, "the fill's trade")
    buyer, seller = (taker, maker) if fill[2] == 0 else (maker, taker)
    expected = struct.pack("<BBH", 1, 0, 0) + fill[4:8]
    expected += struct.pack("<IIQqq", buyer, seller, trade, price, quantity)
    need(receipt[:40] == expected, "receipt of the fill")
    event_count, = struct.unpack_from("<I", header, 260)
    receipt_count, = struct.unpack_from("<I", head, 344)
    need(log_path_root(leaf(fill), event, event_count, events) == header[224:256], "event root")
    need(log_path_root(leaf(receipt), place, receipt_count, receipts) == head[184:216],
         "receipt root")
    return f"trade {trade}: {seller} sold {buyer} {quantity / 1e8} at {price / 1e8}"


def checkpoint(payload, origin):
    """12: size and root of the newest note."""
    lines = objects(payload)[-1].decode().split("\n")
    need(lines[0] == origin and lines[3] == "", "checkpoint's form")
    return int(lines[1]), base64.b64decode(lines[2], validate=True)


# 15: the file

def sections(data):
    need(data[:4] == b"NVB1" and data[4:6] == b"\1\0", "magic or version")
    need(sha(data[:-32]) == data[-32:], "file hash")
    count, = struct.unpack_from("<H", data, 6)
    at, found, table = 8, {}, b""
    for _ in range(count):
        kind, reserved, length = struct.unpack_from("<H6sQ", data, at)
        payload = data[at + 48:at + 48 + length]
        need(reserved == bytes(6) and kind not in found, "section head")
        need(sha(payload) == data[at + 16:at + 48], f"hash of section {kind}")
        table += struct.pack("<H6xQQ", kind, at + 48, length)
        found[kind] = payload
        at += 48 + length
    need(data[at:-32] == table, "table of contents")
    return found


def objects(payload):
    reader, found = Reader(payload), []
    while reader.at < len(payload):
        found.append(reader.take(reader.number("I")))
    return found


# Pools in order, as 8.1 and 9.1 have them: record bytes, and records a page.
EXECUTION = {"keys": (96, 16), "credits": (48, 16), "holdings": (48, 16), "balances": (32, 16), "since": (48, 16),
             "orders": (48, 16), "instruments": (128, 1), "indices": (24, 1), "slices": (72, 1), "status": (128, 1),
             "extras": (48, 16), "timers": (16, 16), "protections": (128, 16), "triggers": (96, 16), "calls": (16, 16),
             "margin": (2048, 1), "sessions": (32, 16)}
CLEARING = {"accounts": 112, "positions": 56, "balances": 24, "funds": 104, "instruments": 128, "submissions": 80,
            "indices": 24, "slices": 72, "withdrawals": 88, "proposals": 192, "status": 64, "perpetuals": 552,
            "minutes": 528, "auctions": 64, "locks": 24, "payouts": 24, "margins": 2048,
            "epochs": 48, "shares": 24}


def pools(data, sizes):
    reader = Reader(data)
    found = [reader.list(1 << 32, size) for size in sizes]
    reader.end()
    return found


def pre_state(data, genesis):
    """15.1: the log's frontier, ids of the last headers, and roots, which the pools must give."""
    reader = Reader(data)
    version, reserved, grants = reader.unpack("HHI")
    need((version, reserved) == (1, 0), "pre-state version")
    size = reader.number("Q")
    peaks = [reader.take(32) for _ in range(size.bit_count())]
    ids = {"exec": reader.take(32), "clear": reader.take(32)}
    roots = {"exec": reader.take(32), "clear": reader.take(32)}
    for _ in range(grants):
        head = reader.take(408)
        need(sha(reader.take(reader.number("I"))) == head[216:248], "a waiting Clearance's body")
    held = pools(reader.take(reader.number("Q")), [size for size, _ in EXECUTION.values()])
    p = {name: pool(records, page) for (name, (_, page)), records in zip(EXECUTION.items(), held)}
    market = merkle(4, [p[name] for name in ("instruments", "indices", "slices", "calls")])
    makers = merkle(8, [p[name] for name in ("extras", "timers", "protections", "triggers", "margin", "sessions")])
    need(merkle(8, [p["keys"], sha(p["credits"], p["balances"]), p["holdings"], p["since"], p["orders"], market,
                    p["status"], makers]) == roots["exec"], "execution's pools")
    clearing = dict(zip(CLEARING, pools(reader.take(reader.number("Q")), CLEARING.values())))
    reader.end()
    # Account leaves gather positions and balances by lists; 11.2 hashes the rest as pools.
    p = {name: pool(records) for name, records in clearing.items()}
    top = [ZERO] * 16
    top[0] = indexed(account_leaves(clearing["accounts"], clearing["positions"], clearing["balances"]))
    top[1], top[4], top[5], top[7], top[15] = (
        p[name] for name in ("instruments", "perpetuals", "funds", "withdrawals", "status"))
    top[2] = merkle(4, [p[name] for name in ("indices", "slices", "submissions", "minutes")])
    top[3] = merkle(4, [sha(genesis.constants, genesis.rules), p["proposals"], p["margins"]])
    top[6] = merkle(4, [p[name] for name in ("auctions", "locks", "payouts")])
    top[8] = sha(p["epochs"], p["shares"])
    need(merkle(16, top) == roots["clear"], "clearing's pools")
    return size, peaks, ids, roots


def account_leaves(accounts, positions, balances):
    def walk(records, slot, next_at, take):
        rows = []
        while slot:
            record = records[slot - 1]
            rows.append(take(record))
            slot, = struct.unpack_from("<I", record, next_at)
        return rows

    def digest(name, rows):
        return sha(tag(name), struct.pack("<I", len(rows)), *rows) if rows else ZERO

    leaves = []
    for number, record in enumerate(accounts):
        cash, flags, position, balance, count, opened, *marks = struct.unpack_from("<qIIIIQQQQ", record, 32)
        held = walk(positions, position, 24, lambda r: r[4:24] + r[32:56])
        need(len(held) == count, "position count")
        kept = walk(balances, balance, 16, lambda r: r[4:6] + r[8:16])

        def chunk(*words):
            return struct.pack(f"<{len(words)}Q", *words).ljust(32, b"\0")
        leaves.append(merkle(8, [
            struct.pack("<q", cash) + record[88:112], digest("novate/balances/1", kept),
            digest("novate/positions/1", held), chunk(flags, *marks), chunk(number), record[:32],
            chunk(opened), ZERO]))
    return leaves


def proof(kind, part, genesis, batch, subject):
    head = objects(part[5])[0]
    need(head[8:40] == genesis.network and struct.unpack_from("<Q", head, 40)[0] == batch, "header")
    if kind == 2:
        print(account_proof(part[7], subject, head[152:184]))
    else:
        header = objects(part[4])[0][:352]
        # Decisions need the rules, which need this file, also where it is the program.
        sys.modules.setdefault("verify", sys.modules[__name__])
        if subject >> 63:
            from decisions import auction_start
            need(8 not in part and 11 not in part, "no trade beside an auction's start")
            need(object_id("novate/exec-header/1", genesis.network, header) == head[56:88], "the Clearance's batch")
            print(auction_start(part[12], subject & (1 << 63) - 1, head[:408], genesis))
            return log_proof(part, head, genesis, batch)
        need(12 not in part, "no auction's start beside a trade")
        print(trade_proof(part[8], subject, header, head[:408], genesis.network))
        fill = part[8][:64]
        need((fill[1] == 2) == (11 in part), "a decision behind a directed close, and no other trade")
        if fill[1] == 2:
            from decisions import decision
            print(decision(part[11], fill, header, genesis))
    log_proof(part, head, genesis, batch)


def log_proof(part, head, genesis, batch):
    reader = Reader(part[9])
    index, size = reader.unpack("QQ")
    path = reader.list(64, 32)
    reader.end()
    need(index == batch, "log proof of another batch")
    root = log_path_root(leaf(head[:408]), index, size, path)
    if 6 in part:
        need((size, root) == checkpoint(part[6], genesis.origin), "checkpoint of the log proof")
    print(f"batch {batch} under log root {root.hex()} of size {size}")


def verify(data, pinned, needs_checkpoint=True):
    part = sections(data)
    kind, network, first, last, subject = struct.unpack("<B7x32sQQQ", part[1])
    genesis = Genesis(part[2])
    need(genesis.network == network and pinned in (None, network), "network")
    need(kind in (1, 2, 3), "evidence is not read here")
    if kind > 1:
        need(first == last, "a proof of one batch")
        return proof(kind, part, genesis, first, subject)
    before = {"exec": network, "clear": network}
    if first == 0:
        roots = {"exec": genesis.execution_root(), "clear": genesis.state_root()}
        log = Log()
    else:
        size, peaks, before, roots = pre_state(part[3], genesis)
        need(size == first, "the log before the first batch")
        log = Log(size, peaks)
    batches, clearances = objects(part[4]), objects(part[5])
    need(len(batches) == len(clearances) == last - first + 1, "number of batches")
    for number, (batch, clearance) in enumerate(zip(batches, clearances), first):
        header, body = batch[:352], batch[416:]
        head, rest = clearance[:408], clearance[472:]
        for name, text in (("exec", header), ("clear", head)):
            previous, pre, post = (56, 88, 120) if name == "exec" else (88, 120, 152)
            need(text[:4] == b"\1\0\0\0" and text[8:40] == network, f"batch {number}: {name} head")
            need(struct.unpack_from("<Q", text, 40)[0] == number, f"batch {number}: number")
            if name in roots:
                need(text[previous:previous + 32] == before[name], f"batch {number}: {name} previous")
                need(text[pre:pre + 32] == roots[name], f"batch {number}: {name} root before")
            roots[name] = text[post:post + 32]
            need(text[304:336] == genesis.rules if name == "exec"
                 else text[312:344] == genesis.rules, f"batch {number}: rule set")
        count, events, transactions, event_root = batch_roots(body)
        need(struct.unpack_from("<III", header, 256) == (count, events, len(body)), "counts")
        need(header[192:256] == transactions + event_root, f"batch {number}: roots of the body")
        need(sha(body) == header[272:304], f"batch {number}: body hash")
        before["exec"] = object_id("novate/exec-header/1", network, header)
        need(head[56:88] == before["exec"] and head[48:56] == header[48:56], f"batch {number}: pair")
        need(sha(rest) == head[216:248], f"batch {number}: Clearance hash")
        need(struct.unpack_from("<IIII", head, 348) == (*clearance_counts(rest), len(rest)),
             f"batch {number}: Clearance counts")
        need(head[368:408] == struct.pack("<Q", number) + log.root(), f"batch {number}: log before")
        log.append(leaf(head))
        before["clear"] = object_id("novate/clear-header/1", network, head)
    print(f"network {network.hex()}")
    print(f"batches {first}..{last}, execution root {roots['exec'].hex()}")
    print(f"state root {roots['clear'].hex()}")
    if needs_checkpoint or 6 in part:
        need((log.size, log.root()) == checkpoint(part[6], genesis.origin), "checkpoint over the range")
    print(f"log root at {log.size}: {log.root().hex()}")


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    with open(arguments[0], "rb") as file:
        data = file.read()
    try:
        if data[:4] == b"NVB1":
            verify(data, bytes.fromhex(arguments[1]) if len(arguments) > 1 else None)
        else:
            genesis = Genesis(genesis_bytes(data))
            print(f"network {genesis.network.hex()}")
            print(f"execution root {genesis.execution_root().hex()}")
            print(f"state root {genesis.state_root().hex()}")
    except (Failure, KeyError, ValueError, struct.error) as failure:
        sys.exit(f"not as Docs/Protocol.md says: {failure}")


if __name__ == "__main__":
    main(sys.argv[1:])
