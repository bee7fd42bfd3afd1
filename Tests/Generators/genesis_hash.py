#!/usr/bin/env python3
"""The genesis hash of a genesis.json, by the protocol's byte tables and nothing of Swift.

    genesis_hash.py Tests/Fixtures/Wire/genesis.json
"""
import datetime
import decimal
import hashlib
import json
import re
import struct
import sys

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()


def text(value, size):
    return value.encode("ascii").ljust(size, b"\0")


def units(value, digits):
    return int(decimal.Decimal(value).scaleb(digits))


def many(items):
    return struct.pack("<I", len(items)) + b"".join(items)


def expiry(value):
    day, month, year, hour, minute = re.fullmatch(
        r"(\d+)([A-Z]{3})(\d\d)(?:T(\d\d)(\d\d))?", value).groups()
    when = datetime.datetime(2000 + int(year), MONTHS.index(month) + 1, int(day),
                             int(hour or 8), int(minute or 0), tzinfo=datetime.timezone.utc)
    return int(when.timestamp()) * 1000


def instrument(place, item, underlyings):
    parts = item["name"].split("-")
    kind, option, strike, time = 3, 0, 0, 0
    if parts[1] != "PERP":
        kind, time = 2, expiry(parts[1])
    if len(parts) == 4:
        kind, option, strike = 1, "CP".index(parts[3]) + 1, units(parts[2].replace("d", "."), 8)
    head = struct.pack("<IHBB", place, underlyings.index(parts[0]), kind, option)
    body = struct.pack(
        "<8q", strike, time, units(item["tick"], 8), units(item["lot"], 8),
        units(item["order_quantity_max"], 8), units(item["price_max"], 8),
        units(item["maker_fee"], 9), units(item["taker_fee"], 9))
    # Active; settlement price, listing batch and funding are zero.
    tiers = [item[name] for name in ("fee_tiers", "fee_tier_maker_step", "fee_tier_taker_step", "settlement_samples")]
    return head + body + struct.pack(
        "<BBHHH32xqq", 1, *tiers, units(item["price_band"], 9), units(item["fee_tier_volume"], 6))


def margin(item):
    ratios = [item[group][name] for group, names in (
        ("vol_shock", "range_up range_down min_vol_up short_power long_power dte_floor_days"), ("basis", "add mult"),
        ("confidence", "threshold factor"), ("depeg", "threshold factor")) for name in names.split()]
    ratios += [item[name] for name in ("mm_factor", "im_factor", "lambda")]
    ratios += [item[group][name] for group, names in (
        ("minimum", "net_delta hedged_delta short_option"), ("tilt", "skew term")) for name in names.split()]
    for place in range(3):
        slope = item["concentration"][place] if place < len(item["concentration"]) else {"from": "0", "rate": "0"}
        ratios += [slope["from"], slope["rate"]]
    rows = [struct.pack("<qIB3x", units(row["spot"], 9), units(row["dampening"], 9),
                        1 + ["up", "none", "down"].index(row["vol"])) for row in item["scenarios"]]
    head = struct.pack("<BB6x26q40x", 1, len(rows), *(units(ratio, 9) for ratio in ratios))
    return (head + b"".join(rows)).ljust(768, b"\0")


def encoded(genesis):
    key = bytes.fromhex
    note = lambda item: text(item["name"], 32) + key(item["key"])
    out = struct.pack("<4H", genesis["format"], 0, genesis["governance"]["threshold"], 0)
    out += text(genesis["name"], 32) + struct.pack("<q", genesis["start_time_ms"])
    for role in ("execution", "clearing", "settlement"):
        out += key(genesis[role]["object"]) + key(genesis[role]["handshake"])
    out += note(genesis["settlement_note"])
    out += many([note(item) for item in genesis["witnesses"]])
    out += many([key(item) for item in genesis["accounts"]])
    out += many([text(item["name"], 16) + struct.pack("<B3xI", item["scale"], item["custodian"])
                 for item in genesis["assets"]])
    out += many([text(item, 16) for item in genesis["underlyings"]])
    out += many([struct.pack("<I", item) for item in genesis["publishers"]])
    out += many([struct.pack("<I", item) for item in genesis["governance"]["members"]])
    out += many([instrument(place, item, genesis["underlyings"])
                 for place, item in enumerate(genesis["instruments"])])
    constants = list(genesis["constants"].values())
    out += struct.pack(f"<{len(constants)}q", *constants)
    return out + margin(genesis["margin"]) + key(genesis["rule_set"])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="ascii") as file:
        manifest = json.load(file)
    print(hashlib.sha256(text("novate/genesis/1", 32) + encoded(manifest)).hexdigest())
