"""Wrong passwords: how many, before the next try has to wait.

Three counts run side by side: for one account from one address, for one address, for one account. Whoever signed in
successfully from an address is only held back by the first, so that strangers who guess at an account, or share
the owner's address, do not lock the owner out. One-time codes have a million values only, so that wrong ones have a
count of their own.
"""

from collections import OrderedDict

from roost.core.clock import Clock
from roost.core.errors import TooMany
from roost.core.rates import RateLimiter

_REMEMBERED = 10_000


class SignInThrottle:
    """Counts failures; successes give back what they took."""

    def __init__(self, clock: Clock) -> None:
        self._pairs = RateLimiter(clock, per_minute=2, burst=6)
        self._addresses = RateLimiter(clock, per_minute=20, burst=60)
        self._accounts = RateLimiter(clock, per_minute=6, burst=30)
        self._codes = RateLimiter(clock, per_minute=0.5, burst=10)
        self._trusted: OrderedDict[str, None] = OrderedDict()

    @property
    def limiters(self) -> dict[str, RateLimiter]:
        """The counts by name, for whoever shares them with other processes."""
        return {
            "sign_in.pair": self._pairs,
            "sign_in.address": self._addresses,
            "sign_in.account": self._accounts,
            "sign_in.code": self._codes,
        }

    def enter(self, account: str, address: str) -> None:
        """Count a try before it is made; raises TooMany when it has to wait."""
        counts = self._counts(account, address)
        wait_s = max(limiter.wait_s(key) for limiter, key in counts)
        if wait_s > 0:
            raise TooMany(
                "Too many wrong passwords; wait a moment before the next try.",
                retry_after_s=wait_s,
                code="too_many_failures",
            )
        for limiter, key in counts:
            limiter.take(key)

    def succeeded(self, account: str, address: str) -> None:
        """The try was good: uncount it, and trust this account from this address from now on."""
        for limiter, key in self._counts(account, address):
            limiter.give_back(key)
        self._pairs.forget(_pair(account, address))
        self._codes.forget(self._code_key(account, address))
        self.trust(account, address)

    def excuse(self, account: str, address: str) -> None:
        """The try was no failure, but it was not enough to trust anyone either: uncount it."""
        for limiter, key in self._counts(account, address):
            limiter.give_back(key)

    def enter_code(self, account: str, address: str) -> None:
        """Count a one-time code before it is looked at; raises TooMany when it has to wait."""
        wait_s = self._codes.take(self._code_key(account, address))
        if wait_s > 0:
            raise TooMany("Too many wrong codes; wait a moment.", retry_after_s=wait_s, code="too_many_failures")

    def trust(self, account: str, address: str) -> None:
        """Remember that the account's owner sits at this address."""
        self._trusted[_pair(account, address)] = None
        self._trusted.move_to_end(_pair(account, address))
        while len(self._trusted) > _REMEMBERED:
            self._trusted.popitem(last=False)

    def _code_key(self, account: str, address: str) -> str:
        pair = _pair(account, address)
        return pair if pair in self._trusted else account

    def _counts(self, account: str, address: str) -> list[tuple[RateLimiter, str]]:
        counts = [(self._pairs, _pair(account, address))]
        if _pair(account, address) not in self._trusted:
            counts += [(self._addresses, address), (self._accounts, account)]
        return counts


def _pair(account: str, address: str) -> str:
    return f"{account}\n{address}"
