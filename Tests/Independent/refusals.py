"""5.4 of Docs/Protocol.md: why an action is not carried out."""

from pricing import MONEY


class Refused(Exception):
    """Why an action is not carried out: code and figures (5.4)."""


def allows(check, *arguments):
    try:
        check(*arguments)
    except Refused:
        return False
    return True


def floored(value):
    return max(-1 << 63, min((1 << 63) - 1, value // MONEY))
