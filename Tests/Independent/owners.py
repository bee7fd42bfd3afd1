"""Accounts of one owner, in both machines: 8.1 and 9.18 of Docs/Protocol.md."""


class Owners:
    def begin_owners(self):
        self.main_of, self.by_owner = [], {}

    def note_owner(self, account, owner):
        """The next account: its owner's first is the main one."""
        self.main_of.append(self.by_owner.setdefault(owner, account))

    def group(self, account):
        """All accounts of one owner, by number."""
        return [n for n, main in enumerate(self.main_of) if main == self.main_of[account]]
