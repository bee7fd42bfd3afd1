#!/usr/bin/env python3
"""A second verifier, written from Docs/Protocol.md alone: standard library, no package.

  python3 Tests/Independent/replay.py FILE.nvb [HASH]

It runs every check of verify.py, that of a checkpoint where the file has one, then replays both machines over a range file
that begins with batch 0 and compares every event, both roots and all that clearing's header and body say. It checks no
client's signature: `novate verify` does. The tables
of 10.5 are read from the Swift file and compared with their hash. Exit 0 when all agrees, 1 otherwise. Slow: about a
thousand orders a second.
"""

import pathlib
import struct
import sys

from clearing import Clearing
from execution import Execution
from verify import NONE, Failure, Genesis, Reader, log_root, need, object_id, objects, sections, verify


def clearance(body):
    reader = Reader(body)
    counts = reader.unpack("9I")
    forms = ["II32s", "IIq", "IH2xq", "IIqq", "H2xIqq", "H6xqq5qq", "128s", "BB2xII4xqq", "2048s"]
    lists = [[reader.unpack(form) for _ in range(count)] for count, form in zip(counts, forms)]
    reader.end()
    names = ["opened", "accounts", "balances", "positions", "indices", "slices", "instruments", "directives", "margin"]
    body = dict(zip(names, lists))
    body["slices"] = [((u, expiry), (forward, (a, b, rho, m, sigma), time))
                      for u, expiry, forward, a, b, rho, m, sigma, time in body["slices"]]
    body["instruments"] = [data for data, in body["instruments"]]
    body["margin"] = [data for data, in body["margin"]]
    return body


def replay(data):
    part = sections(data)
    genesis = Genesis(part[2])
    execution, clearing, grants = Execution(genesis), Clearing(genesis), []
    need(execution.root() == genesis.execution_root(), "execution's root at genesis")
    for number, (batch, cleared) in enumerate(zip(objects(part[4]), objects(part[5]))):
        header, body, claim, claimed = batch[:352], batch[416:], cleared[:408], cleared[472:]
        time, = struct.unpack_from("<q", header, 48)
        credit, = struct.unpack_from("<Q", header, 152)
        taken = [g for g in grants if credit != NONE and g[0] <= credit]
        grants = grants[len(taken):]
        execution.open_batch(time, credit, taken)
        reader = Reader(body)
        count, events = reader.unpack("II")
        bundles = []
        for place in range(count):
            records, = struct.unpack_from("<H", body, reader.at + 88)
            bundles.append(reader.take(160 + 64 * records))
            execution.sequence(bundles[-1], place)
        found = [reader.take(64) for _ in range(events)]
        for place, (made, said) in enumerate(zip(execution.events, found)):
            need(made == said, f"batch {number}: event {place}")
        need(len(found) == len(execution.events), f"batch {number}: {events} events, expected {len(execution.events)}")
        need(header[160:192] == execution.credit_id, f"batch {number}: credit id")
        execution.batch += 1
        need(execution.root() == header[120:152], f"batch {number}: execution's root")
        (root, oracle, parameters), made, receipts = clearing.clear(header, bundles, found)
        need(made == claimed, f"batch {number}: Clearance body")
        need(log_root(receipts) == claim[184:216], f"batch {number}: receipts")
        need(struct.unpack_from("<I", claim, 344)[0] == len(receipts), f"batch {number}: receipt count")
        need((oracle, parameters) == (claim[248:280], claim[280:312]), f"batch {number}: oracle or parameters root")
        need(root == claim[152:184], f"batch {number}: state root")
        grants.append((number, object_id("novate/clear-header/1", genesis.network, claim), clearance(claimed)))
        if sys.stderr.isatty():
            print(f"\rbatch {number}", end="", file=sys.stderr)
    print(f"replayed {number + 1} batches, {execution.next_trade - 1} trades: every root, event and body agrees")


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    data = pathlib.Path(arguments[0]).read_bytes()
    try:
        verify(data, bytes.fromhex(arguments[1]) if len(arguments) > 1 else None, needs_checkpoint=False)
        replay(data)
    except (Failure, KeyError, ValueError, IndexError, struct.error) as failure:
        sys.exit(f"not as Docs/Protocol.md says: {failure!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
