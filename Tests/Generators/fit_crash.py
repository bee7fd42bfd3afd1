#!/usr/bin/env python3
"""Fits the figures of the demo tape: index, forwards and raw SVI smiles of a real crash.

Reads the option chain of 4 to 7 February 2026 (16 snapshots of Deribit's BTC and ETH options; see
--chain) and writes Interfaces/CLI/Demo/CrashFigures.swift. The chain itself is not committed: only
what is fitted to it is.

Each smile is raw SVI, w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)), in total variance over
a year of 31,536,000,000 ms, k = ln(K/F); all expiries of a snapshot are fitted together to the mark
volatilities, weighted by vega, under penalties against static arbitrage: within an expiry
(Gatheral and Jacquier, arXiv:1204.0646) and between them. What is written, rounded to integers, is
then checked again on denser grids, and the script fails rather than write an arbitrage.

    pip install numpy scipy pandas
    python3 Tests/Generators/fit_crash.py
"""

import argparse
import pathlib
import sys

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.stats import norm

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHAIN = ROOT.parent / "shared" / "data" / "deribit_option_chain_2026-02_crash.csv.gz"
OUT = ROOT / "Interfaces" / "CLI" / "Demo" / "CrashFigures.swift"

YEAR = 31_536_000_000
UNDERLYINGS = ["BTC", "ETH"]
# The first expires inside the window; the others live through all of it.
EXPIRIES = ["6FEB26", "13FEB26", "20FEB26", "27FEB26", "27MAR26"]
SVI_UNIT = 10**12
PRICE_UNIT = 10**8
SIGMA_MIN = 0.005
# Room kept below each bound, so that rounding and fixed-point checks do not cross it.
BUTTERFLY_ROOM = 2e-3
CALENDAR_ROOM = 5e-6
WING_MAX = 1.98
STRIKES_MAX = 12
WEIGHT_TOTAL = 10_000


# --- Raw SVI


def svi(p, k):
    a, b, rho, m, sigma = p
    return a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))


def butterfly(p, k):
    """g(k): the risk-neutral density is g times a positive factor."""
    a, b, rho, m, sigma = p
    root = np.sqrt((k - m) ** 2 + sigma**2)
    w = a + b * (rho * (k - m) + root)
    w1 = b * (rho + (k - m) / root)
    w2 = b * sigma**2 / root**3
    return (1 - k * w1 / (2 * w)) ** 2 - w1**2 / 4 * (1 / w + 0.25) + w2 / 2


def grid(p, count):
    """Dense where the smile bends: sinh around its vertex, and some deviations around the money."""
    a, b, rho, m, sigma = p
    low, high = np.arcsinh((-3 - m) / sigma), np.arcsinh((3 - m) / sigma)
    bend = m + sigma * np.sinh(np.linspace(low, high, count))
    money = np.arange(-64, 65) * np.sqrt(max(svi(p, 0.0), 1e-12)) / 8
    return np.concatenate([bend, money, np.linspace(-3, 3, count)])


def decode(x):
    """Free numbers to parameters within their bounds: least variance, b, rho, m, sigma."""
    w_min, b = np.exp(x[0]), np.exp(x[1])
    rho = 0.995 * np.tanh(x[2])
    m = np.tanh(x[3])
    sigma = SIGMA_MIN + np.exp(x[4])
    return np.array([w_min - b * sigma * np.sqrt(1 - rho**2), b, rho, m, sigma])


def encode(w_min, b, rho, m, sigma):
    return np.array(
        [np.log(w_min), np.log(b), np.arctanh(rho / 0.995), np.arctanh(m),
         np.log(max(sigma - SIGMA_MIN, 1e-6))])


# --- The fit


class Slice:
    """One expiry of one snapshot: what the market said."""

    def __init__(self, rows, time, expiry):
        self.time, self.expiry = time, expiry
        self.years = (expiry - time) / YEAR
        self.forward = round(float(rows.futures_price.median()) * PRICE_UNIT) / PRICE_UNIT
        quotes = rows.groupby("strike").mark_iv.mean()
        self.strikes = quotes.index.to_numpy(float)
        self.vol = quotes.to_numpy()
        self.k = np.log(self.strikes / self.forward)
        deviation = self.vol * np.sqrt(self.years)
        self.vega = norm.pdf(-self.k / deviation + deviation / 2)
        self.delta = norm.cdf(-self.k / deviation + deviation / 2)
        # A floor keeps the far wings from running free.
        weight = self.vega / self.vega.max() + 1e-3
        self.weight = np.sqrt(weight / weight.sum())

    def guess(self):
        money = np.interp(0.0, self.k, self.vol) ** 2 * self.years
        return encode(0.8 * money, 0.5 * np.sqrt(money) * 0.4, -0.2, 0.0, np.sqrt(money))

    def errors(self, p):
        """Fitted less marked volatility, in points."""
        return 100 * (np.sqrt(svi(p, self.k) / self.years) - self.vol)


def residuals(x, slices, force):
    parameters = [decode(x[5 * i:5 * i + 5]) for i in range(len(slices))]
    out = []
    for s, p in zip(slices, parameters):
        out.append(s.weight * s.errors(p))
        g = butterfly(p, grid(p, 60))
        out.append(force * np.minimum(g - BUTTERFLY_ROOM, 0))
        out.append([100 * force * max(p[1] * (1 + abs(p[2])) - WING_MAX, 0)])
        # A gentle pull to sane shapes where quotes say nothing.
        out.append([0.002 * p[3], 0.002 * np.log(p[4] / 0.1)])
    k = np.concatenate([np.linspace(-3, 3, 301), np.linspace(-1, 1, 301)])
    for before, after in zip(parameters, parameters[1:]):
        gap = svi(after, k) - svi(before, k)
        out.append(15 * force * np.minimum(gap - CALENDAR_ROOM, 0))
    return np.concatenate(out)


def fit(slices, previous):
    """The snapshot's smiles together; nearer starts first, force raised until no arbitrage is left."""
    single = []
    for i, s in enumerate(slices):
        starts = [s.guess()] + ([previous[i]] if previous is not None else [])
        for m, width in ((0.0, 0.5), (0.05, 2.0), (-0.05, 1.0)):
            start = s.guess()
            start[3] = np.arctanh(m)
            start[4] += np.log(width)
            starts.append(start)
        fits = [least_squares(residuals, x, args=([s], 10.0), max_nfev=200) for x in starts]
        single.append(min(fits, key=lambda f: f.cost).x)
    x = np.concatenate(single)
    for power in range(1, 9):
        x = least_squares(residuals, x, args=(slices, 10.0**power), max_nfev=300, x_scale="jac").x
        parts = [x[5 * i:5 * i + 5] for i in range(len(slices))]
        if not faults([np.array(integers(decode(part))) / SVI_UNIT for part in parts]):
            break
    return parts


def integers(p):
    return [int(round(v * SVI_UNIT)) for v in p]


def faults(parameters):
    """Every static arbitrage of one snapshot's rounded parameters, on grids denser than the fit's."""
    found = []
    for i, p in enumerate(parameters):
        a, b, rho, m, sigma = p
        if not (b >= 0 and abs(rho) < 1 and sigma >= SIGMA_MIN):
            found.append(f"domain {i}")
        if a + b * sigma * np.sqrt(1 - rho**2) < 0 or b * (1 + abs(rho)) > 2:
            found.append(f"bounds {i}")
        k = grid(p, 20_001)
        g = butterfly(p, k)
        if g.min() < 0:
            found.append(f"butterfly {i}: {g.min():.2e} at {k[g.argmin()]:.4f}")
    for i, (before, after) in enumerate(zip(parameters, parameters[1:])):
        k = np.concatenate([grid(before, 4001), grid(after, 4001)])
        k = k[abs(k) <= 3]
        gap = svi(after, k) - svi(before, k)
        if gap.min() < 0:
            found.append(f"calendar {i}: {gap.min():.2e} at {k[gap.argmin()]:.4f}")
    return found


# --- The chain of the demo


def strikes_of(rows, forwards, snapshots):
    """Up to 12 strikes listed in half of the snapshots at least, the busiest first, none crowding
    another, and their shares of volume and open interest."""
    low, high = min(forwards) * 0.85, max(forwards) * 1.12
    listed = rows.groupby("strike").timestamp_ms.nunique()
    near = rows[rows.strike.isin(listed[2 * listed >= snapshots].index)]
    near = near[(near.strike >= low) & (near.strike <= high)]
    volume, interest = near.groupby("strike").volume_24h.sum(), near.groupby("strike").open_interest.sum()
    score = volume / volume.sum() + 0.5 * interest / interest.sum()
    gap = (high - low) / (STRIKES_MAX + 4)
    chosen = []
    for strike in score.sort_values(ascending=False, kind="stable").index:
        if len(chosen) < STRIKES_MAX and all(abs(strike - other) >= gap for other in chosen):
            chosen.append(strike)
    near = near[near.strike.isin(chosen)]
    table = near.pivot_table(index="strike", columns="option_type",
                             values=["volume_24h", "open_interest"], aggfunc="sum", fill_value=0)
    out = []
    for strike in sorted(chosen):
        row = [int(strike)]
        for column in ("volume_24h", "open_interest"):
            for kind in ("call", "put"):
                share = table.loc[strike, (column, kind)] / table[column].to_numpy().sum()
                row.append(int(round(share * WEIGHT_TOTAL)))
        out.append(row)
    return out


def spread_of(rows, smiles):
    """(base, slope) of relative spread = base + slope x^2, x^2 = k^2/w(k) up to 4, by least
    absolute deviations over out-of-the-money quotes."""
    x2, spread = [], []
    for time, p, forward in smiles:
        q = rows[(rows.timestamp_ms == time) & rows.bid_price.notna() & rows.ask_price.notna()]
        k = np.log(q.strike / forward)
        out_of_money = (q.option_type == "call") == (k >= 0)
        k, q = k[out_of_money], q[out_of_money]
        x = k**2 / svi(p, k)
        keep = x <= 4
        x2.append(x[keep])
        spread.append(((q.ask_price - q.bid_price) / (q.ask_price + q.bid_price) * 2)[keep])
    x2, spread = np.concatenate(x2), np.concatenate(spread)
    fitted = least_squares(lambda c: c[0] + c[1] * x2 - spread, [0.03, 0.05], loss="soft_l1",
                           f_scale=0.005).x
    return fitted, np.median(np.abs(fitted[0] + fitted[1] * x2 - spread))


# --- The Swift file


def lines_of(values, indent):
    """Integers, broken at 100 columns."""
    out, line = [], " " * indent
    for value in values:
        text = f"{value}," if value < 0 or value < 10**4 else f"{value:_},"
        if value <= -(10**4):
            text = f"{value:_},"
        if len(line) + len(text) + 1 > 100 and line.strip():
            out.append(line.rstrip())
            line = " " * indent
        line += text + " "
    return out + [line.rstrip()]


def swift(result):
    first = result["times"][0]
    weighted, money, worst = result["quality"]
    out = f"""import Primitives

/// A real crash in integers: Deribit's BTC and ETH options from 4 to 7 February 2026, when the index
/// of BTC fell by a sixth within two days and turned.
///
/// Made by `Tests/Generators/fit_crash.py`; edit that, not this. Figures fitted to the chain are
/// kept here, never its rows. Forwards are the median future of the snapshot; smiles are raw SVI
/// fitted to mark volatilities by vega, free of butterfly and calendar arbitrage for k in ±3. Over all
/// slices the fit is off by {weighted:.2f} volatility points (root mean square by vega), by {money:.2f} where
/// delta is 0.10 to 0.90, and at most by {worst:.1f} there.
enum CrashFigures {{
  /// One expiry's smile at one snapshot.
  struct Slice: Hashable, Sendable {{
    let forward: Price
    /// Raw SVI in units of 1e-12, of total variance over a year of 31,536,000,000 ms.
    let a, b, rho, m, sigma: Int64
  }}

  /// A strike of the demo chain; shares are in 1/10,000 of the expiry's listed strikes here.
  struct Strike: Hashable, Sendable {{
    let price: Price
    let callVolume, putVolume, callInterest, putInterest: Int64
  }}

  /// Quoted spread over middle: `base` + `slope` k²/w(k), k²/w held to 4; units of 1e-9.
  struct Spread: Hashable, Sendable {{
    let base, slope: Ratio
  }}

  /// The time of the first snapshot.
  static let firstSnapshot = Timestamp(raw: {first:_})
  static let underlyings = [{", ".join(f'"{u}"' for u in UNDERLYINGS)}]
  /// Each at 08:00 UTC, as instrument names spell them. The first expires inside the window.
  static let expiryNames = [{", ".join(f'"{e}"' for e in EXPIRIES)}]

  /// Snapshots, in milliseconds after the first.
  static let snapshots: [Int64] = [
"""
    out += "\n".join(lines_of([t - first for t in result["times"]], 4))
    out += """
  ]
  /// Expiries, in milliseconds after the first snapshot.
  static let expiries: [Int64] = [
"""
    out += "\n".join(lines_of([e - first for e in result["expiries"]], 4))
    out += """
  ]

  static func index(underlying: Int, snapshot: Int) -> Price {
    Price(raw: indices[underlying * snapshots.count + snapshot])
  }

  /// The smile, nil once the expiry has passed.
  static func slice(underlying: Int, snapshot: Int, expiry: Int) -> Slice? {
    guard snapshots[snapshot] < expiries[expiry] else { return nil }
    let row = 6 * ((underlying * snapshots.count + snapshot) * expiries.count + expiry)
    return Slice(
      forward: Price(raw: slices[row]), a: slices[row + 1], b: slices[row + 2],
      rho: slices[row + 3], m: slices[row + 4], sigma: slices[row + 5])
  }

  /// The demo chain of an expiry, by strike.
  static func strikes(underlying: Int, expiry: Int) -> [Strike] {
    let rows = chains[underlying * expiries.count + expiry]
    return stride(from: 0, to: rows.count, by: 5).map { row in
      Strike(
        price: Price(raw: rows[row] * Price.scale), callVolume: rows[row + 1],
        putVolume: rows[row + 2], callInterest: rows[row + 3], putInterest: rows[row + 4])
    }
  }

  /// The share of an expiry in its underlying's volume, in 1/10,000.
  static func volumeShare(underlying: Int, expiry: Int) -> Int64 {
    volumeShares[underlying * expiries.count + expiry]
  }

  static func spread(underlying: Int, expiry: Int) -> Spread {
    let row = 2 * (underlying * expiries.count + expiry)
    return Spread(base: Ratio(raw: spreads[row]), slope: Ratio(raw: spreads[row + 1]))
  }
}

// MARK: - Tables

extension CrashFigures {
  /// By underlying, then snapshot; 1e-8 USD.
  private static let indices: [Int64] = [
"""
    for u in UNDERLYINGS:
        out += "\n".join(lines_of([round(i * PRICE_UNIT) for i in result["index"][u]], 4)) + "\n"
    out += """  ]

  /// By underlying, snapshot and expiry: forward, a, b, rho, m, sigma; zeros after expiry.
  private static let slices: [Int64] = [
"""
    for u in UNDERLYINGS:
        for i, row in enumerate(result["slices"][u]):
            out += f"    // {u}, snapshot {i}\n"
            for values in row:
                out += "\n".join(lines_of(values, 4)) + "\n"
    out += """  ]

  /// By underlying and expiry: strike in USD, then shares of call volume, put volume, call open
  /// interest and put open interest.
  private static let chains: [[Int64]] = [
"""
    for u in UNDERLYINGS:
        for name, rows in zip(EXPIRIES, result["chains"][u]):
            out += f"    // {u}, {name}\n    [\n"
            for row in rows:
                out += "\n".join(lines_of(row, 6)) + "\n"
            out += "    ],\n"
    out += """  ]

  /// By underlying and expiry.
  private static let volumeShares: [Int64] = [
"""
    for u in UNDERLYINGS:
        out += "\n".join(lines_of(result["shares"][u], 4)) + "\n"
    out += """  ]

  /// By underlying and expiry: base, slope.
  private static let spreads: [Int64] = [
"""
    for u in UNDERLYINGS:
        out += "\n".join(lines_of([round(v * 1e9) for pair in result["spreads"][u] for v in pair], 4)) + "\n"
    return out + "  ]\n}\n"


# --- Everything


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--chain", type=pathlib.Path, default=CHAIN)
    options.add_argument("--out", type=pathlib.Path, default=OUT)
    chosen = options.parse_args()
    chain = pd.read_csv(chosen.chain)
    times = sorted(int(t) for t in chain.timestamp_ms.unique())
    expiries = [int(pd.to_datetime(e, format="%d%b%y").value // 10**6) + 8 * 3_600_000 for e in EXPIRIES]
    result = {"times": times, "expiries": expiries, "index": {}, "slices": {}, "chains": {},
              "shares": {}, "spreads": {}}
    broken, squares, money_squares, worst = [], [], [], 0.0
    for u in UNDERLYINGS:
        rows = chain[chain.currency == u]
        result["index"][u] = [round(float(rows[rows.timestamp_ms == t].index_price.median()), 2) for t in times]
        result["slices"][u], smiles, previous = [], {e: [] for e in expiries}, None
        for number, time in enumerate(times):
            alive = [e for e in expiries if e > time]
            slices = [Slice(rows[(rows.timestamp_ms == time) & (rows.expiry_ms == e)], time, e) for e in alive]
            if previous is not None:
                previous = previous[-len(slices):]
            previous = fit(slices, previous)
            whole = [integers(decode(x)) for x in previous]
            rounded = [np.array(p) / SVI_UNIT for p in whole]
            for fault in faults(rounded):
                broken.append(f"{u} snapshot {number}: {fault}")
            dead = len(expiries) - len(alive)
            result["slices"][u].append(
                [[0] * 6] * dead
                + [[round(s.forward * PRICE_UNIT)] + p for s, p in zip(slices, whole)])
            report = []
            for s, p in zip(slices, rounded):
                smiles[s.expiry].append((time, p, s.forward))
                # Rebuilt from what is written, not from the fit.
                error = s.errors(p)
                mean = float(np.sqrt(np.sum(s.vega * error**2) / s.vega.sum()))
                middle = np.abs(error[(s.delta >= 0.1) & (s.delta <= 0.9)])
                squares.append(mean**2)
                money_squares.append(middle**2)
                worst = max(worst, middle.max())
                vol = 100 * np.sqrt(svi(p, 0.0) / s.years)
                report.append(f"{vol:6.2f} rms {mean:4.2f} max {middle.max():4.1f}|{np.abs(error).max():5.1f}")
            print(f"{u} {number:2} {pd.Timestamp(time, unit='ms'):%d %H:%M} index "
                  f"{result['index'][u][number]:9.2f}  " + "  ".join([" " * 26] * dead + report), flush=True)
        result["chains"][u], result["spreads"][u], volumes = [], [], []
        for name, e in zip(EXPIRIES, expiries):
            of_expiry = rows[rows.expiry_ms == e]
            forwards = [f for _, _, f in smiles[e]]
            strikes = strikes_of(of_expiry, forwards, len(forwards))
            result["chains"][u].append(strikes)
            volumes.append(of_expiry.volume_24h.sum() / len(forwards))
            (base, slope), off = spread_of(of_expiry, smiles[e])
            result["spreads"][u].append((base, slope))
            print(f"{u} {name}: strikes {[r[0] for r in strikes]}; spread {base:.4f} + {slope:.4f} x^2, "
                  f"median error {off:.4f}")
        result["shares"][u] = [int(round(WEIGHT_TOTAL * v / sum(volumes))) for v in volumes]
    result["quality"] = (np.sqrt(np.mean(squares)), np.sqrt(np.mean(np.concatenate(money_squares))), worst)
    print("rms by vega {:.3f}, rms delta 0.1-0.9 {:.3f}, max there {:.2f} volatility points".format(*result["quality"]))
    if broken:
        sys.exit("arbitrage left:\n" + "\n".join(broken))
    chosen.out.write_text(swift(result))


if __name__ == "__main__":
    main()
