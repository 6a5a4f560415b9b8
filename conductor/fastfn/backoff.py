"""How long to wait before a program that dies at its start is started again."""

from __future__ import annotations

FIRST = 0.25  # seconds
LONGEST = 30.0  # seconds
HOPELESS = 3  # deaths in a row, after which requests no longer wait for the next try


class Backoff:
    """Deaths at start in a row, and the time of the next try: doubling, capped."""

    __slots__ = ("deaths", "retry_at")

    def __init__(self) -> None:
        self.deaths = 0
        self.retry_at = 0.0  # seconds, monotonic

    @property
    def hopeless(self) -> bool:
        """Whether it died so often that nobody should wait for the next try."""
        return self.deaths >= HOPELESS

    def failed(self, now: float) -> None:
        """Count a death; those that die together count once."""
        if now >= self.retry_at:
            self.retry_at = now + min(LONGEST, FIRST * 2.0**self.deaths)
            self.deaths += 1

    def reset(self) -> None:
        """Forget the deaths: it did its work."""
        self.deaths = 0

    def retry_in(self, now: float) -> float | None:
        """Return the seconds until the next try, or None if nothing holds it up."""
        return self.retry_at - now if self.deaths and self.retry_at > now else None
