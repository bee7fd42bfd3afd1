#!/usr/bin/env python3
"""Section 10 of Docs/Protocol.md by itself: marks and unit changes of single options.

  python3 Tests/Independent/marks.py FILE

A line holds call (1) or put (0), strike, milliseconds to expiry, forward, the five surface parameters, then the mark and the
32 unit changes to compare with. Exit 0 when every line agrees, 1 at the first that does not.
"""

import sys

from pricing import valuation


class Option:
    def __init__(self, call, strike, expiry):
        self.kind, self.status, self.underlying = 1, 1, 0
        self.call, self.strike, self.expiry = call == 1, strike, expiry


def main(path):
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            call, strike, time, forward, *rest = map(int, line.split())
            found = valuation(Option(call, strike, time), 1, {(0, time): (forward, tuple(rest[:5]), 0)})
            if [found[0], *found[1]] != rest[5:]:
                sys.exit(f"not as Docs/Protocol.md says: line {number}: {line}expected {found}")
    print(f"{number} marks agree")


if __name__ == "__main__":
    main(sys.argv[1])
