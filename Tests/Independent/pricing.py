"""Section 10 of Docs/Protocol.md: marks, scenarios and the integer kernel, on the tables of the Swift file."""

import pathlib
import re
import struct

from verify import need, sha

TABLES = "9dc8b70a91aee4d13993b98002c60407e11b538b225ecd40c7554917d35753f0"
MONEY, ONE, WORDS = 10 ** 10, 10 ** 9, 1 << 64


def up(a, b):
    """Rounded towards plus infinity."""
    return -(-a // b)


def nearest(a, b):
    """To nearest, ties to even."""
    q, r = divmod(a, b)
    return q + (2 * r > b or (2 * r == b and q & 1))


# 10.5: the kernel

def tables():
    text = (pathlib.Path(__file__).resolve().parents[2] / "Sources/Pricing/KernelTables.swift").read_text()
    lists = [[int(x) for x in re.findall(r"-?\d+", body)]
             for body in re.findall(r"^let \w+: InlineArray<\d+, Int64> = \[(.*?)\]", text, re.S | re.M)]
    single = [int(re.search(rf"^let {name}: \w+ = (-?\d+)", text, re.M)[1])
              for name in ("ln2Q63", "inverseLn2Q56", "ln2StepQ68", "ln2StepRest", "deviationQ15", "deviationInverseQ111")]
    numbers = [x for row in lists for x in row] + single
    need(sha(b"".join(struct.pack("<Q", x % WORDS) for x in numbers)).hex() == TABLES, "tables of 10.5")
    return lists + single


LC, LS, QS, EC, ES, RC, TC, LD, _, LN2, INV, STEP, REST, D15, D111 = tables()


def high(a, b):
    return a * b >> 64


def signed(x):
    x %= WORDS
    return x - WORDS if x >> 63 else x


def ln(m, n):
    j = (m >> 54) % 512
    c, base = LC[2 * j], LC[2 * j + 1]
    r = (m * c >> 8) - (1 << 71)
    s = LS[4]
    for i in (3, 2, 1, 0):
        s = LS[i] + high(s, r)
    f = r * s >> 62
    n += j >= 212
    if n == 0 and base == 0:
        return f, 71
    return n * LN2 + 2 * (base + (f + 256 >> 9)) + 32 >> 6, 57


def q57(result):
    value, bits = result
    return value if bits == 57 else value + 8192 >> 14


def ln_ratio(a, b):
    za, zb = 64 - a.bit_length(), 64 - b.bit_length()
    A, B = a << za, b << zb
    return ln((A << 64) // B, zb - za - 1) if A < B else ln((A << 63) // B, zb - za)


def exp(x):
    k = high(x, INV) + (1 << 48) >> 49
    r = 2048 * x - k * STEP - (k * REST >> 16)
    s = ES[5]
    for i in (4, 3, 2, 1, 0):
        s = ES[i] + high(s, r)
    g = r * s >> 62
    b = EC[k % 64]
    v, e = b + (high(b, g) + 8 >> 4), k >> 6
    return (2 * v, e - 1) if v < 1 << 62 else (v, e)


def seed(v):
    c0, c1, c2, c3 = RC[4 * ((v >> 56) - 64):][:4]
    t = (v << 8) % WORDS - (1 << 63) >> 32
    return c0 + (c1 * t + (c2 + (c3 * t >> 31)) * (t * t >> 31) >> 31) >> 5


def roots(x):
    z = (128 - x.bit_length()) & ~1
    v = x << z >> 64
    y = seed(v) << 30
    s = high(v, y)
    e = s * (y >> 30) % WORDS
    return y - (high(y, e) >> 31), 4 * s - (high(s, e) >> 29), z


def quick_root(x):
    z = (128 - x.bit_length()) & ~1
    v = x << z >> 64
    y = seed(v)
    s = high(v, y << 30)
    return 2 * s - (high(s, s * y % WORDS) >> 30), z // 2


def normal(d, mirrored=False):
    """N(d), or N(-d)."""
    a = min(abs(d), (9 << 58) - 1)
    row = 8 * (a >> 53)
    t = (a << 11) % WORDS - (1 << 63)
    v = TC[row + 7]
    for i in range(6, -1, -1):
        v = TC[row + i] + high(v, t)
    v = max(v, 0)
    return v if (d < 0) != mirrored else (1 << 63) - v


YEAR, B57 = 31_536_000_000, 31 << 57


def held(x, low, top):
    return min(max(x, low), top)


def parameter(x, low, top):
    return held(x, low * 10 ** 12, top * 10 ** 12) * 20282409603651670424 + (1 << 46) >> 47


def variance(svi, k):
    a, b, rho = parameter(svi[0], -63, 63), parameter(svi[1], 0, 31), parameter(svi[2], -1, 1)
    m, sigma = parameter(svi[3], -63, 63), parameter(svi[4], 0, 31)
    reach = (39 << 57) // 10
    if (abs(a) <= 40 << 57 and b < 2 << 57 and abs(m) <= 31 << 57 and 1 << 34 <= sigma <= (4 << 57) // 5
            and -reach <= k - m < reach):
        root, half = quick_root((k - m) ** 2 + sigma * sigma)
        lean = 4 * high(32 * b, 32 * rho)
        w = a + 4 * high(lean, k - m) + (high(32 * b, root) >> half - 3)
        if w >= 0:
            return w
    far = (k >> 1) - (m >> 1)
    delta = B57 if far > B57 >> 1 else -B57 if far < -(B57 >> 1) else k - m
    _, S, z = roots(delta * delta + max(sigma * sigma, 1))
    bend = max(0, (S >> z // 2) + 4 * high(delta, 32 * rho))
    return held((b * bend >> 57) + a, 0, 63 << 57)


def cut(x):
    drop = max(0, x.bit_length() - 64)
    return x >> drop << drop


def volatility(w, time):
    time = held(time, 0, 10 * YEAR)
    if w <= 0 or time <= 0:
        return 0
    _, S, z = roots(w)
    R, _, other = roots(time)
    value, e = cut(cut(S * R) * 16458802425854440033), other // 2 - z // 2 - 171
    return min(nearest(value, 1 << -e), 10 ** 15)


def deviation(sigma, time):
    """None for a saturated one, 0 for none, else (s, i, z/2)."""
    sigma, time = held(sigma, 0, 10 ** 15), held(time, 0, 10 * YEAR)
    V = sigma * sigma * time
    if V > 576 * 10 ** 18 * YEAR:
        return None
    if V == 0:
        return 0
    R, S, z = roots(V)
    half = z // 2
    return high(S, D111) + (1 << half - 12) >> half - 11, high(R, D15), half


def parts(v):
    z = 64 - v.bit_length()
    m = v << z
    j = (m >> 54) % 512
    r = signed((m >> 8) * LC[2 * j])
    q = high(r, r)
    curve = high(QS[0] + high(QS[1], r) + high(QS[2] + high(QS[3], r), q), q)
    return z + (j < 212), LC[2 * j + 1] + (r >> 9) + curve


def quick(F, K, s, i, half):
    """d1 the quick way, or None."""
    if not (1 <= F <= 1 << 55 and 1 <= K <= 1 << 55):
        return None
    (twos, tail), (others, other) = parts(F), parts(K)
    n = others - twos
    if not (-11 <= n <= 11 and 16 <= half <= 33):
        return None
    L = LD[n + 11] + (tail - other + 2 >> 2)
    if not -1 << 63 <= L < 1 << 63:
        return None
    wide = held(L << half - 16 >> 2, -1 << 63, (1 << 63) - 1)
    return 4 * held(high(wide, 2 * i), -15 << 56, 15 << 56) + (s >> 1)


def d_one(F, K, wide):
    s, i, half = wide
    d = quick(F, K, s, i, half)
    if d is None:
        L, n = ln_ratio(F, K)
        d = held(L * i >> n + 19 - half, -15 << 58, 15 << 58) + (s >> 1)
    return d


def black(call, F, K, wide):
    if not F or not K or wide is None:
        return F if call else K
    if wide == 0:
        return max(0, F - K if call else K - F)
    d, s = d_one(F, K, wide), wide[0]
    if call:
        value = F * normal(d) - K * normal(d - s)
    else:
        value = K * normal(d - s, True) - F * normal(d, True)
    return min(nearest(max(0, value), 1 << 63), (1 << 63) - 1)


# 10.2: scenarios

class Collateral:
    """4.5: what an asset counts."""

    def __init__(self, row):
        (place, _, self.haircut, self.initial_haircut, self.ageing, self.account_max, self.cap_start, self.cap_end,
         self.listed) = row
        self.underlying, self.growth = place - 1, (self.listed, self.ageing, self.cap_start, self.cap_end)

    def cap(self, time):
        whole = self.ageing * 1000
        return self.cap_start + (self.cap_end - self.cap_start) * min(max(0, time - self.listed), whole) // whole


class Terms:
    """4.5: the margin terms, and what they make of a scenario."""

    def __init__(self, data):
        (self.up, self.down, self.least_up, self.short_power, self.long_power, self.floor, self.basis_add, self.basis_mult,
         self.threshold, self.factor, *self.depeg, self.maintenance, _, self.share, self.net, self.hedged, self.short, self.skew,
         self.term) = struct.unpack_from("<20q", data, 8)
        # Of method 3, span-16: scenarios move the price in money, by what `moves` makes of the index.
        self.is_span = data[0] == 3
        self.ratio, self.shift, self.multiple, cover, self.later = struct.unpack_from("<5q", data, 1536)
        self.scenarios = [(None, (1, -1)[n % 2], ONE) for n in range(14)] + [(None, 0, cover)] * 2 if self.is_span else []
        for place in range(data[1]):
            spot, cover, volatility = struct.unpack_from("<qIB", data, 256 + 16 * place)
            self.scenarios.append((spot - ONE, 2 - volatility, cover))
        self.scenarios += [(0, 0, 0)] * (32 - len(self.scenarios))
        self.interest, *self.open_interest = struct.unpack_from("<3q", data, 216)
        self.peg, = struct.unpack_from("<Q", data, 240)
        self.slopes = [struct.unpack_from("<2q", data, 168 + 16 * n) for n in range(3)]
        rows = [struct.unpack_from("<HHIIIqqqq", data, 768 + 48 * n) for n in range(16)]
        self.collaterals = {n: Collateral(row) for n, row in enumerate(rows) if row[0]}

    def peg_charge(self, asked, indices):
        """10.9: what a lost peg asks beside `asked`."""
        price = indices[self.peg - 1][0] if self.peg else 0
        gap = max(0, self.depeg[0] - 10 * price) if price else 0
        return up(asked * up(gap * self.depeg[1], ONE), ONE)

    def moves(self, index):
        """Of span-16: what each of the sixteen adds to the underlying's price; then zeros."""
        whole = nearest(index * self.ratio, ONE)
        thirds = [nearest(whole * k, 3) for k in (0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3)]
        extreme = nearest(whole * self.multiple, ONE)
        return thirds + [extreme, -extreme] + [0] * 16

    def linear(self, mark, index):
        """Unit changes of what moves with its own price, or in span-16 as the underlying does."""
        if self.is_span:
            return [move * cover // ONE for move, (_, _, cover) in zip(self.moves(index), self.scenarios)]
        return [(mark * move // ONE) * cover // ONE for move, _, cover in self.scenarios]

    def tenor(self, time):
        day = 86_400_000
        inside = held(time, max(1, nearest(self.floor * day, ONE)), 10 * YEAR)
        p = self.short_power if inside <= 30 * day else self.long_power
        v, e = exp(nearest(q57(ln_ratio(30 * day, inside)) * p, ONE))
        return v * ONE + (1 << 61 - e) >> 62 - e

    def multipliers(self, time):
        t = self.tenor(time)
        return {0: ONE, 1: ONE + up(self.up * t, ONE), -1: max(0, ONE - up(self.down * t, ONE))}

    def charges(self, delta, spot, doubt, forward=0, time=0):
        """10.6: lead, trail, of a short option, basis, of a doubtful price."""
        exposure = up(abs(delta) * spot, 10 ** 12)
        factor = self.basis_add * 1000 + up(self.basis_mult * 1000 * time, YEAR)
        basis = nearest(up(forward * factor, 10 ** 12) * delta, 10 ** 12)
        gap = max(0, self.threshold - (ONE - doubt))
        return (up(exposure * self.net, ONE), up(exposure * (self.hedged - self.net), ONE), up(spot * self.short, ONE), basis,
                up(up(spot * gap, ONE) * self.factor, ONE))


def multiplier(terms, sigma, scan, v):
    """Of a scenario's volatility, with its floor; terms without tilts alone."""
    need(terms.skew == 0 and terms.term == 0, "tilts are not in this reader")
    least = up(terms.least_up * ONE, sigma) if v == 1 and terms.least_up and sigma else 0
    return max(scan[v], least)


def delta_of(call, F, K, wide):
    """In 1e-12, from the d1 that makes the price."""
    if not F or not K or wide is None or wide == 0:
        if F == 0 and K:
            chance = 0
        elif K == 0 or wide is None or F > K:
            chance = 1 << 62
        else:
            chance = 1 << 61 if F == K else 0
        return (chance if call else chance - (1 << 62)) * 10 ** 12 + (1 << 61) >> 62
    d = d_one(F, K, wide)
    chance = high(normal(d, not call), 1 << 62) << 1
    size = chance * 10 ** 12 + (1 << 61) >> 62
    return size if call else -size


def valuation(instrument, index, slices, terms, front=None, index_time=0, doubt=0):
    """Mark, the 32 unit changes, how far the two volatilities lie apart, charges; None where nothing is priced."""
    if instrument.status == 4:
        return instrument.payoff(instrument.settled), [0] * 32, 0, (0, 0, 0, 0, 0), 0
    if index <= 0 or instrument.status == 3:
        return None
    SCENARIOS = terms.scenarios
    found = slices.get((instrument.underlying, instrument.expiry))
    if instrument.kind == 3 or instrument.kind == 2:
        mark = found[0] if instrument.kind == 2 and found else index
        tilted = (0, 0)
        if instrument.kind == 2 and instrument.expiry != front:
            tilted = mark, max(0, instrument.expiry - (found[2] if found else index_time))
        return (mark, terms.linear(mark, index), 0,
                terms.charges(10 ** 12, index, doubt, *tilted), 10 ** 12)
    if not found:
        return None
    F, K, call = found[0], instrument.strike, instrument.call
    time = max(0, instrument.expiry - found[2])
    sigma = volatility(variance(found[1], q57(ln_ratio(K, F))), time)
    mark = black(call, F, K, deviation(sigma, time))
    if terms.is_span:
        shifted = {v: max(0, sigma + v * terms.shift) for v in (-1, 0, 1)}
        later = {v: deviation(shifted[v], max(0, time - terms.later)) for v in shifted}
        units = [(black(call, max(0, F + move), K, later[v]) - mark) * cover // ONE
                 for move, (_, v, cover) in zip(terms.moves(index), SCENARIOS)]
        delta = delta_of(call, F, K, deviation(sigma, time))
        return mark, units, shifted[1] - shifted[-1], terms.charges(delta, index, doubt), delta
    scan = terms.multipliers(time)
    wide = {v: deviation(nearest(sigma * multiplier(terms, sigma, scan, v), ONE), time) for v in scan}
    units = []
    for move, v, cover in SCENARIOS:
        forward = nearest(F * (ONE + move), ONE)
        units.append((black(call, forward, K, wide[v]) - mark) * cover // ONE)
    delta = delta_of(call, F, K, deviation(sigma, time))
    tilted = (F, time) if instrument.expiry != front else (0, 0)
    return mark, units, sigma * (scan[1] - scan[-1]) // ONE, terms.charges(delta, index, doubt, *tilted), delta
