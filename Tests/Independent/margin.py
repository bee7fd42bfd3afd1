"""Docs/Margin.md in plain floating point: the four methods from their formulas, line by line.

Reads lines of `novate margin` whose `method` is a whole parameter object, writes the main figures of
each as JSON. Slow, obvious, and sharing nothing with the Swift code.
"""

import json
import math
import sys

YEAR = 31_536_000_000
DAY = 86_400_000


def number(value, default=0.0):
    return default if value is None else float(value)


def normal(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def black(call, forward, strike, vol, years, discount):
    """Black-76."""
    deviation = vol * math.sqrt(years)
    if strike == 0 or forward == 0 or deviation > 24:
        return discount * (forward if call else strike)
    if deviation == 0:
        return discount * max(0.0, forward - strike if call else strike - forward)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    d2 = d1 - deviation
    if call:
        return discount * (forward * normal(d1) - strike * normal(d2))
    return discount * (strike * normal(-d2) - forward * normal(-d1))


class Group:
    """Numbers of one group of the parameters, absent ones zero."""

    def __init__(self, values):
        self.values = values or {}

    def __getitem__(self, key):
        return number(self.values.get(key))


class Book:
    """What an account holds in one underlying, beside its market."""

    def __init__(self, market, account, many):
        mine = lambda leg: not many or leg.get("underlying") == market.get("underlying")
        self.spot = number(market["spot"])
        self.stable = number(market.get("stable"), 1.0)
        self.perp_price = number(market.get("perp_price"), self.spot)
        sure = market.get("confidence") or {}
        self.spot_confidence = number(sure.get("spot"), 1.0)
        self.perp_confidence = number(sure.get("perp"), 1.0)
        self.perp_adv = market.get("perp_adv")
        self.perp_open = number(market.get("perp_open_interest"))
        self.expiries = {}
        for e in market.get("expiries") or []:
            time = int(e["time_ms"])
            years = time / YEAR
            rate = number(e.get("rate"))
            self.expiries[time] = {
                "time": time, "years": years, "fixed": number(e.get("forward_fixed")),
                "variable": number(e.get("forward_variable")), "rate": max(rate, 0.0),
                "discount": number(e.get("discount"), math.exp(-max(rate, 0.0) * years)),
                "forward_confidence": number(e.get("forward_confidence"), 1.0),
                "rate_confidence": number(e.get("rate_confidence"), 1.0),
                "vol_confidence": number(e.get("vol_confidence"), 1.0),
                "adv": e.get("option_adv"),
            }
        perps = account.get("perps") or []
        perps = [perps] if isinstance(perps, dict) else perps
        self.perp = sum(number(p["quantity"]) for p in perps if mine(p))
        self.perp_others = max([number(p.get("owner_others")) for p in perps if mine(p)], default=0.0)
        self.unrealised = sum(number(p.get("unrealised")) for p in perps if mine(p))
        # By expiry: quantity, then daily volume, contracts open and the owner's others of the first that says so.
        self.futures = {}
        for f in filter(mine, account.get("futures") or []):
            said = f.get("adv"), number(f.get("open_interest")), number(f.get("owner_others"))
            kept = self.futures.get(int(f["time_ms"]))
            before, weight = kept if kept else (0.0, (None, 0.0, 0.0))
            self.futures[int(f["time_ms"])] = before + number(f["quantity"]), weight if weight[0] is not None else said
            self.unrealised += number(f.get("unrealised"))
        self.futures = {time: (q, weight) for time, (q, weight) in self.futures.items() if q}
        self.options, self.weights = {}, {}
        for o in filter(mine, account.get("options") or []):
            if o.get("adv") is not None:
                contract = int(o["time_ms"]), number(o["strike"]), o["type"] == "call"
                self.weights[contract] = o["adv"], number(o.get("open_interest")), number(o.get("owner_others"))
            key = (int(o["time_ms"]), number(o["strike"]), o["type"] == "call", number(o["vol"]))
            self.options[key] = self.options.get(key, 0.0) + number(o["quantity"])
        held = {}
        for c in account.get("collateral") or []:
            held[c["id"]] = held.get(c["id"], 0.0) + number(c["quantity"])
        self.collaterals = []
        for c in market.get("collaterals") or []:
            value = held.get(c["id"], 0.0) * number(c["price"]) / self.stable
            self.collaterals.append({
                "value": value, "moves": bool(c.get("risk_cancelling")),
                "confidence": number(c.get("confidence"), 1.0),
                "mm": number(c.get("mm_haircut")), "im": number(c.get("im_haircut_add"))})
        self.collateral_mark = sum(c["value"] for c in self.collaterals)
        self.by_expiry = {}
        for (time, strike, call, vol), quantity in self.options.items():
            self.by_expiry.setdefault(time, []).append((strike, call, vol, quantity))

    def forward(self, e, spot=1.0):
        return e["fixed"] + e["variable"] * spot

    def option_mark(self):
        return sum(
            quantity * self.price(self.expiries[t], strike, call, vol)
            for (t, strike, call, vol), quantity in self.options.items())

    def price(self, e, strike, call, vol, spot=1.0):
        return black(call, self.forward(e, spot), strike, vol, e["years"], e["discount"])

    def expiry_confidence(self, e, with_rate=True):
        found = [self.spot_confidence, e["forward_confidence"], e["vol_confidence"]]
        if with_rate:
            found.append(e["rate_confidence"])
            if self.perp != 0:
                found.append(self.perp_confidence)
        return min(found)


def tenor(p, time):
    v = Group(p["vol_shock"])
    days = max(time / DAY, v["dte_floor_days"])
    power = v["short_power"] if time <= 30 * DAY else v["long_power"]
    return (30 / days) ** power


# derive-pmrm2


def derive(book, p):
    v, skew, static = Group(p["vol_shock"]), Group(p["skew"]), Group(p["discount"])
    basis, charge, doubt = Group(p["basis"]), Group(p["contingency"]), Group(p["confidence"])
    factors = {
        (s["spot"], s["vol"], s["dampening"], i): (number(s["spot"]), s["vol"], number(s["dampening"]))
        for i, s in enumerate(p["scenarios"])}
    pnl = []
    for spot, _, d in factors.values():
        moving = book.perp * book.perp_price + sum(c["value"] for c in book.collaterals if c["moves"])
        pnl.append(moving * (spot - 1) * d)
    contingency = 0.0

    def vol_of(e, strike, vol, mode):
        m = tenor(p, e["time"])
        if mode == "up":
            return max(v["min_vol_up"], vol * (1 + v["range_up"] * m))
        if mode == "down":
            return vol * max(0.0, 1 - v["range_down"] * m)
        if mode == "none":
            return vol
        name = "linear" if mode == "linear" else "abs"
        root = math.sqrt(e["years"])
        cap = skew[name + "_base"] * root + skew[name + "_cap"]
        star = max(skew["min_k_star"],
                   root * skew["width_scale"] * (skew["vol_static"] + root * skew["vol_scale"]))
        k = math.log(strike / book.forward(e))
        k = abs(k) if mode == "abs" else k
        slope = k * cap / star
        multiplier = 1 + (min(cap, slope) if k >= 0 else max(-cap, slope))
        return vol * max(multiplier, 0.0)

    for time, legs in book.by_expiry.items():
        e = book.expiries[time]

        def value(spot, mode):
            return sum(
                q * book.price(e, strike, call, vol_of(e, strike, vol, mode), spot)
                for strike, call, vol, q in legs)

        mark = value(1.0, "none")
        long = static["long_static"] * math.exp(
            -e["years"] * (e["rate"] * static["long_rate_mult"] + static["long_rate_add"]))
        short = min(1 / e["discount"], static["short_static"] * math.exp(
            e["years"] * (e["rate"] * static["short_rate_mult"] + static["short_rate_add"])))
        for i, (spot, mode, d) in enumerate(factors.values()):
            turning = mode in ("linear", "abs")
            shocked = value(1.0 if turning else spot, mode)
            change = (shocked * (long if shocked >= 0 else short) - mark) * d
            pnl[i] += -abs(change) if turning else change
        up, down = value(basis["spot_up"], "none"), value(basis["spot_down"], "none")
        contingency += min(up - mark, down - mark, 0.0) * (basis["add"] + basis["mult"] * e["years"])

    mm = abs(book.perp) * book.spot * charge["perp_mm"]
    im = abs(book.perp) * book.spot * charge["perp_im_add"]
    uncertain = 0.0

    def uncertainty(confidence, notional):
        return (1 - confidence) * doubt["factor"] * notional if confidence < doubt["threshold"] else 0.0

    uncertain += uncertainty(
        min(book.spot_confidence, book.perp_confidence), abs(book.perp) * book.spot)
    for time, legs in book.by_expiry.items():
        e = book.expiries[time]
        naked = {}
        for strike, _, _, q in legs:
            naked[strike] = naked.get(strike, 0.0) + q
        short = sum(max(0.0, -q) for q in naked.values())
        mm += short * book.spot * charge["option_mm"]
        im += short * book.spot * charge["option_im_add"]
        uncertain += uncertainty(
            book.expiry_confidence(e), book.spot * sum(abs(q) for _, _, _, q in legs))
    for c in book.collaterals:
        mm += c["value"] * c["mm"]
        im += c["value"] * c["im"]
        uncertain += uncertainty(min(book.spot_confidence, c["confidence"]), c["value"])
    return {"pnl": pnl, "basis": contingency, "mm": mm, "im": im, "doubt": uncertain}


def derive_account(books, p, equity):
    found = [derive(b, p) for b in books]
    peg = Group(p["depeg"])
    factors = [number(p["im_factor"]) + max(0.0, peg["threshold"] - b.stable) * peg["factor"]
               for b in books]
    losses = [max(0.0, -min(f["pnl"] + [f["basis"]])) for f in found]
    total = [sum(x) for x in zip(*(f["pnl"] for f in found))]
    basis = sum(f["basis"] for f in found)
    joint, share = max(0.0, -min(total + [basis])), number(p["lambda"])
    mm_factor = number(p["mm_factor"])
    mm = share * joint * mm_factor + (1 - share) * sum(losses) * mm_factor
    im = share * joint * max(factors) + (1 - share) * sum(a * b for a, b in zip(losses, factors))
    static = sum(f["mm"] for f in found)
    mm += static
    im += static + sum(f["im"] + f["doubt"] for f in found)
    return {"maintenance_margin": equity - mm, "initial_margin": equity - im, "pnl": total,
            "basis_contingency": basis, "confidence_contingency": -sum(f["doubt"] for f in found)}


# novate-32


def delta(book, e, strike, call, vol):
    forward, deviation = book.forward(e), vol * math.sqrt(e["years"])
    if strike == 0 or deviation > 24:
        chance = 1.0
    elif forward == 0:
        chance = 0.0
    elif deviation == 0:
        chance = 0.5 if forward == strike else float(forward > strike)
    else:
        chance = normal(math.log(forward / strike) / deviation + deviation / 2)
    return e["discount"] * (chance if call else chance - 1)


def novate(book, p):
    v, minimum, basis = Group(p["vol_shock"]), Group(p["minimum"]), Group(p["basis"])
    doubt, tilt = Group(p["confidence"]), Group(p["tilt"])
    front = min([t for t in book.expiries if t > 0], default=None)

    def moved(time, mode, shift, strike, vol):
        if mode == "none":
            return vol
        e, m = book.expiries[time], tenor(p, time)
        factor = max(0.0, 1 + (v["range_up"] if mode == "up" else -v["range_down"]) * m)
        if shift != 0 and (tilt["skew"] or tilt["term"]):
            spread = vol * math.sqrt(e["years"])
            place = math.log(strike / book.forward(e)) / spread if spread else 0.0
            lean = -tilt["skew"] * max(-1.0, min(1.0, place))
            lean += tilt["term"] if time == front else -tilt["term"]
            factor *= max(0.0, 1 + (lean if shift < 0 else -lean))
        return max(v["min_vol_up"], vol * factor) if mode == "up" else vol * factor

    pnl, units = [], {}
    for s in p["scenarios"]:
        spot, cover = number(s["spot"]), number(s["dampening"])
        total = book.perp * book.perp_price * (spot - 1)
        total += sum(c["value"] for c in book.collaterals if c["moves"]) * (spot - 1)
        total += sum(q * book.expiries[time]["variable"] for time, (q, _) in book.futures.items()) * (spot - 1)
        for (time, strike, call, vol), q in book.options.items():
            e = book.expiries[time]
            after = book.price(e, strike, call, moved(time, s["vol"], spot - 1, strike, vol), spot)
            change = after - book.price(e, strike, call, vol)
            units.setdefault((time, strike, call), {}).setdefault(vol, []).append(change * cover)
            total += q * change
        pnl.append(total * cover)

    owed, held, crowd, forward_move, uncertain = [book.perp], [], 0.0, 0.0, 0.0

    def crowded(quantity, volume, others):
        if volume is None:
            return 0.0
        def charge(total):
            return sum(number(s["rate"]) * max(0.0, total - number(s["from"]) * float(volume)) for s in p["concentration"])
        return (charge(abs(quantity) + others) - charge(others)) * book.spot

    def open_charge(quantity, volume, there, most, loss):
        low, high = number(p["open_interest"]["lower"]), number(p["open_interest"]["upper"])
        if volume is None or not high:
            return 0.0
        low, high = low * float(volume), high * float(volume)
        return abs(quantity) * max(0.0, most - max(0.0, loss)) * min(1.0, max(0.0, there - low) / (high - low))

    def uncertainty(confidence, notional):
        return max(0.0, doubt["threshold"] - confidence) * doubt["factor"] * notional

    crowd += crowded(book.perp, book.perp_adv, book.perp_others)
    moves = [(number(s["spot"]) - 1) * number(s["dampening"]) * book.perp_price for s in p["scenarios"]]
    crowd += open_charge(book.perp, book.perp_adv, book.perp_open, book.spot,
                         -min(moves) if book.perp > 0 else max(moves))
    uncertain += uncertainty(
        min(book.spot_confidence, book.perp_confidence), abs(book.perp) * book.spot)
    for time, (q, (adv, there, others)) in book.futures.items():
        e = book.expiries[time]
        owed.append(q)
        uncertain += uncertainty(min(book.spot_confidence, e["forward_confidence"]), abs(q) * book.spot)
        crowd += crowded(q, adv, others)
        moves = [(number(s["spot"]) - 1) * number(s["dampening"]) * e["variable"] for s in p["scenarios"]]
        crowd += open_charge(q, adv, there, book.spot, -min(moves) if q > 0 else max(moves))
    nets, worth = {}, 0.0
    for (time, strike, call, vol), q in book.options.items():
        e = book.expiries[time]
        (owed if q < 0 else held).append(q * delta(book, e, strike, call, vol))
        nets[time, strike, call] = nets.get((time, strike, call), 0.0) + q
        worth += max(q, 0.0) * book.price(e, strike, call, vol)
        uncertain += uncertainty(book.expiry_confidence(e), abs(q) * book.spot)
    short = 0.0
    for (time, strike, call), q in nets.items():
        if q < 0:
            short += -q * book.spot * minimum["short_option"]
            adv, there, others = book.weights.get((time, strike, call), (book.expiries[time]["adv"], 0.0, 0.0))
            crowd += crowded(q, adv, others)
            of_first = units[time, strike, call]
            crowd += open_charge(q, adv, there, book.spot if call else strike, max(of_first[min(of_first)]))
    for time in {*book.by_expiry, *book.futures}:
        e = book.expiries[time]
        if time != front:
            own = sum(q * delta(book, e, strike, call, vol) for strike, call, vol, q in book.by_expiry.get(time, []))
            own += book.futures.get(time, (0.0, None))[0]
            forward_move += abs(own) * e["variable"] * (basis["add"] + basis["mult"] * e["years"])
    mm = im = 0.0
    for c in book.collaterals:
        mm += c["value"] * c["mm"]
        im += c["value"] * c["im"]
        uncertain += uncertainty(min(book.spot_confidence, c["confidence"]), c["value"])
        if c["moves"]:
            held.append(c["value"] / book.spot)
            worth += c["value"]

    def least_of(deltas):
        long, against = sum(x for x in deltas if x > 0), -sum(x for x in deltas if x < 0)
        return book.spot * (abs(long - against) * minimum["net_delta"]
                            + min(long, against) * minimum["hedged_delta"])

    least = min(least_of(owed + held), least_of(owed) + worth)
    owes = book.perp != 0 or bool(book.futures) or any(q < 0 for q in book.options.values())
    return {"pnl": pnl, "delta": least, "short": short, "crowd": crowd, "basis": forward_move,
            "doubt": uncertain, "mm": mm, "im": im, "cap": None if owes else worth}


def novate_account(books, p, equity):
    found = [novate(b, p) for b in books]
    total = [sum(x) for x in zip(*(f["pnl"] for f in found))]
    joint = max(0.0, -min(total), sum(f["delta"] for f in found), sum(f["short"] for f in found))
    apart = sum(max(0.0, -min(f["pnl"]), f["delta"], f["short"]) for f in found)
    share = number(p["lambda"])
    core = share * joint + (1 - share) * apart + sum(f["basis"] for f in found)
    if all(f["cap"] is not None for f in found):
        core = min(core, sum(f["cap"] for f in found))
    core *= number(p["im_factor"])
    peg = Group(p["depeg"])
    gap = next((g for g in (max(0.0, peg["threshold"] - b.stable) for b in books) if g > 0), 0.0)
    haircut = sum(f["mm"] for f in found)
    doubt = sum(f["doubt"] for f in found) + core * gap * peg["factor"]
    mm = core * number(p["mm_factor"]) + haircut
    im = core + haircut + sum(f["im"] + f["crowd"] for f in found) + doubt
    return {"maintenance_margin": equity - mm, "initial_margin": equity - im, "pnl": total,
            "basis_contingency": -sum(f["basis"] for f in found), "confidence_contingency": -doubt}


# span-16


def span(book, p):
    scan = number(p["price_scan_range"]) if p.get("price_scan_range") is not None else \
        book.spot * number(p["price_scan_ratio"])
    shifts = [(k / 3 * scan, sign, 1.0) for k in (0, 1, -1, 2, -2, 3, -3) for sign in (1, -1)]
    extreme = scan * number(p["extreme_multiple"])
    shifts += [(extreme, 0, number(p["extreme_cover"])), (-extreme, 0, number(p["extreme_cover"]))]
    # What moves with the underlying moves in proportion to its price.
    moving = book.perp + sum(q for q, _ in book.futures.values()) + sum(c["value"] for c in book.collaterals if c["moves"]) / book.spot
    pnl, short = [moving * move * cover for move, _, cover in shifts], 0.0
    for (time, strike, call, vol), q in book.options.items():
        e = book.expiries[time]
        mark = book.price(e, strike, call, vol)
        years = max(0, time - int(p["lookahead_ms"])) / YEAR
        for i, (move, sign, cover) in enumerate(shifts):
            later = max(0.0, vol + sign * number(p["vol_scan_range"]))
            value = black(call, max(0.0, book.forward(e) + move), strike, later, years, e["discount"])
            pnl[i] += q * (value - mark) * cover
        short += max(0.0, -q) * book.spot * number(p["short_option_minimum"])
    owes = book.perp != 0 or bool(book.futures) or any(q < 0 for q in book.options.values())
    worth = book.option_mark() + sum(c["value"] for c in book.collaterals if c["moves"])
    return {"pnl": pnl, "short": short, "cap": None if owes else worth, "mm": sum(c["value"] * c["mm"] for c in book.collaterals),
            "im": sum(c["value"] * c["im"] for c in book.collaterals)}


def span_account(books, p, equity):
    found = [span(b, p) for b in books]
    total = [sum(x) for x in zip(*(f["pnl"] for f in found))]
    apart = sum(max(0.0, -min(f["pnl"]), f["short"]) for f in found)
    joint = max(0.0, -min(total), sum(f["short"] for f in found))
    share = number(p["lambda"])
    core = share * joint + (1 - share) * apart
    if all(f["cap"] is not None for f in found):
        core = min(core, sum(f["cap"] for f in found))
    mm = core * number(p["mm_factor"]) + sum(f["mm"] for f in found)
    im = core * number(p["im_factor"]) + sum(f["mm"] + f["im"] for f in found)
    return {"maintenance_margin": equity - mm, "initial_margin": equity - im, "pnl": total,
            "basis_contingency": 0.0, "confidence_contingency": 0.0}


# cross


def cross(book, p):
    r, doubt, peg = Group(p["cross"]), Group(p["confidence"]), Group(p["depeg"])
    uncertainty = lambda c, n: (1 - c) * doubt["factor"] * n if c < doubt["threshold"] else 0.0
    notional = abs(book.perp) * book.perp_price
    mm, im = -notional * r["perp_mm"], -notional * r["perp_im"]
    charge = uncertainty(min(book.spot_confidence, book.perp_confidence), abs(book.perp) * book.spot)
    depegged = abs(book.perp) * book.spot
    for time, legs in book.by_expiry.items():
        e = book.expiries[time]
        alone = [0.0, 0.0]
        for strike, call, vol, q in legs:
            if q >= 0:
                continue
            size, mark = -q * book.spot, q * book.price(e, strike, call, vol)
            gap = (strike - book.spot if call else book.spot - strike) / book.spot
            initial = mark - max(r["min_spot"], r["max_spot"] - max(0.0, gap)) * size
            if call:
                maintenance = mark - r["call_mm"] * size
            else:
                maintenance = mark + min(-r["put_mm"] * size, r["put_mm_mark"] * mark)
                initial = min(initial, r["offset"] * maintenance)
            alone[0] += maintenance
            alone[1] += initial
        loss = min([0.0] + [
            sum(q * max(0.0, s - strike if call else strike - s) for strike, call, _, q in legs)
            for s in [0.0] + [strike for strike, _, _, _ in legs]])
        calls = min(0.0, sum(q for _, call, _, q in legs if call))
        mm += max(alone[0], loss + r["unpaired_mm"] * book.forward(e) * calls)
        im += max(alone[1], loss + r["unpaired_im"] * book.forward(e) * calls)
        short = book.spot * sum(max(0.0, -q) for _, _, _, q in legs)
        charge += uncertainty(book.expiry_confidence(e, with_rate=False), short)
        depegged += short
    charge += max(0.0, peg["threshold"] - book.stable) * peg["factor"] * depegged
    for c in book.collaterals:
        mm += c["value"] * (1 - c["mm"])
        im += c["value"] * (1 - c["mm"] - c["im"])
        charge += uncertainty(min(book.spot_confidence, c["confidence"]), c["value"])
    return mm, im - charge, charge


def cross_account(books, p, cash):
    found = [cross(b, p) for b in books]
    base = cash + sum(b.unrealised for b in books)
    return {"maintenance_margin": base + sum(f[0] for f in found),
            "initial_margin": base + sum(f[1] for f in found), "pnl": [],
            "basis_contingency": 0.0, "confidence_contingency": -sum(f[2] for f in found)}


def answer(line):
    markets = line["market"]
    many = isinstance(markets, list)
    books = [Book(m, line["account"], many) for m in (markets if many else [markets])]
    cash = number(line["account"].get("cash"))
    equity = cash + sum(b.unrealised + b.option_mark() + b.collateral_mark for b in books)
    p = line["method"]
    methods = {"derive-pmrm2": derive_account, "novate-32": novate_account, "span-16": span_account}
    if p["method"] == "cross":
        result = cross_account(books, p, cash)
    else:
        result = methods[p["method"]](books, p, equity)
    result["id"], result["mark_to_market"] = line["id"], equity
    return result


if __name__ == "__main__":
    for text in sys.stdin:
        if text.strip():
            print(json.dumps(answer(json.loads(text))))
