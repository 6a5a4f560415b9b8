"""How long to wait before a program that dies at its start is started again."""

from __future__ import annotations

FIRST = 0.25  # seconds
LONGEST = 30.0  # seconds
HOPELESS = 3  # deaths in a row, after which requests no longer wait for the next try


class Backoff:
    """Deaths at start in a row, and the time of the next try: doubling, capped."""

    __slots__ = ("_delay", "_soonest", "deaths", "retry_at")

    def __init__(self) -> None:
        self.deaths = 0
        self.retry_at = 0.0  # seconds, monotonic
        self._delay = FIRST  # seconds, after the next death
        self._soonest = 0.0  # the next try, had it been the first death

    @property
    def hopeless(self) -> bool:
        """Whether it died so often that nobody should wait for the next try."""
        return self.deaths >= HOPELESS

    def failed(self, now: float) -> None:
        """Count a death; those that die together count once."""
        if now >= self.retry_at:
            self.retry_at = now + self._delay
            self._soonest = now + FIRST
            self._delay = min(LONGEST, self._delay * 2)
            self.deaths += 1

    def reset(self) -> None:
        """Forget the deaths: it did its work. What dies beside it is still not hurried."""
        if self.deaths:
            self.deaths = 0
            self.retry_at = self._soonest
            self._delay = FIRST

    def retry_in(self, now: float) -> float | None:
        """Return the seconds until the next try, or None if nothing holds it up."""
        return self.retry_at - now if self.retry_at > now else None
