"""Section 3 of Docs/Protocol.md: Ed25519 as all verifiers agree on it. For block trades and new keys; slow."""

import hashlib


P = 2 ** 255 - 19
CURVE = -121665 * pow(121666, -1, P) % P
ORDER = 2 ** 252 + 27742317777372353535851937790883648493
SMALL = {0, 1, P - 1, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
         0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7}


def point(key):
    y = int.from_bytes(key, "little")
    odd, y = y >> 255, y & (1 << 255) - 1
    if y >= P or y in SMALL:
        return None
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return (P - x if x & 1 != odd else x), y


def plus(a, b):
    (x, y), (u, v) = a, b
    t = CURVE * x * u * y * v
    return ((x * v + y * u) * pow(1 + t, -1, P) % P, (y * v + x * u) * pow(1 - t, -1, P) % P)


def times(n, a):
    total = (0, 1)
    while n:
        if n & 1:
            total = plus(total, a)
        a, n = plus(a, a), n >> 1
    return total


def acceptable(key):
    return point(key) is not None


def is_signed(key, message, signature):
    A, R, S = point(key), signature[:32], int.from_bytes(signature[32:], "little")
    if A is None or S >= ORDER or int.from_bytes(R, "little") & (1 << 255) - 1 in SMALL:
        return False
    k = int.from_bytes(hashlib.sha512(R + key + message).digest(), "little") % ORDER
    y = 4 * pow(5, -1, P) % P
    base = point(y.to_bytes(32, "little"))
    x, y = plus(times(S, base), times(k, (P - A[0], A[1])))
    return (y | (x & 1) << 255).to_bytes(32, "little") == R
