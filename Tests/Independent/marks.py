#!/usr/bin/env python3
"""Section 10 of Docs/Protocol.md by itself: marks and unit changes of single options.

  python3 Tests/Independent/marks.py FILE [novate-32|span-16]

A line holds call (1) or put (0), strike, milliseconds to expiry, forward, the five surface parameters, then the mark and the
32 unit changes to compare with; the index is the forward. Exit 0 when every line agrees, 1 at the first that does not.
"""

import sys

from pricing import Terms, valuation
from verify import margin_bytes


def declared(method):
    zero = {group: dict.fromkeys(names.split(), "0") for group, names in (
        ("basis", "add mult"), ("confidence", "threshold factor"), ("depeg", "threshold factor"),
        ("minimum", "net_delta hedged_delta short_option"), ("tilt", "skew term"), ("open_interest", "lower upper"))}
    zero |= {"method": method, "mm_factor": "1", "im_factor": "1", "lambda": "0", "interest": "0", "concentration": [], "collateral": []}
    if method == "span-16":
        return zero | {"price_scan_ratio": "0.15", "vol_scan_range": "0.15", "extreme_multiple": "3", "extreme_cover": "0.33",
                       "lookahead_ms": "86400000", "short_option_minimum": "0"}
    grid = [(100 + m, v, "1") for m in (-16, -12, -8, -4, 4, 8, 12, 16) for v in ("down", "none", "up")]
    grid += [(100, v, "1") for v in ("down", "up")]
    grid += [(100 + m, "up", c) for m, c in ((-66, "0.24"), (-33, "0.48"), (50, "0.32"), (100, "0.16"), (300, "0.0533"),
                                             (500, "0.032"))]
    shock = {"range_up": "0.4", "range_down": "0.22", "min_vol_up": "0", "short_power": "0.3", "long_power": "0.13", "dte_floor_days": "1"}
    return zero | {"vol_shock": shock, "scenarios": [
        {"spot": f"{s // 100}.{s % 100:02d}", "vol": v, "dampening": c} for s, v, c in grid]}


class Option:
    def __init__(self, call, strike, expiry):
        self.kind, self.status, self.underlying = 1, 1, 0
        self.call, self.strike, self.expiry = call == 1, strike, expiry


def main(path, method="novate-32"):
    terms = Terms(margin_bytes(declared(method)))
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            call, strike, time, forward, *rest = map(int, line.split())
            found = valuation(Option(call, strike, time), forward, {(0, time): (forward, tuple(rest[:5]), 0)}, terms)
            if [found[0], *found[1]] != rest[5:]:
                sys.exit(f"not as Docs/Protocol.md says: line {number}: {line}expected {found}")
    print(f"{number} marks agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
