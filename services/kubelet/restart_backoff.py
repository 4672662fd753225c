"""How long to wait before a container is started, or an image pulled, once more.

10 s after the second failure, doubling up to five minutes; ten quiet minutes start it over. The
first restart is immediate. Pure: the caller brings the time. Upstream: `flowcontrol.Backoff` as
`doBackOff` and the image manager use it.
"""

from __future__ import annotations

BASE_SECONDS = 10.0
MAX_SECONDS = 300.0
FORGET_SECONDS = 2 * MAX_SECONDS


class RestartBackoff:
    """Delays by key; times are seconds on any one clock."""

    def __init__(self, base_seconds: float = BASE_SECONDS, max_seconds: float = MAX_SECONDS) -> None:
        self._base, self._max = base_seconds, max_seconds
        self._entries: dict[str, tuple[float, float]] = {}  # delay, when it last grew

    def remaining(self, key: str, since: float, now: float) -> float:
        """Seconds still to wait, counted from `since`; 0 when there is no need to.

        `since` is the end of the last attempt: one that had lasted long enough starts over, however
        long its wait then takes.
        """
        entry = self._live(key, since)
        return max(0.0, since + entry[0] - now) if entry else 0.0

    def remaining_since_failure(self, key: str, now: float) -> float:
        """The same, counted from when the delay last grew."""
        entry = self._live(key, now)
        return max(0.0, entry[1] + entry[0] - now) if entry else 0.0

    def grow(self, key: str, now: float, since: float | None = None) -> None:
        """The thing is being tried now; if it fails again, the wait is twice as long."""
        entry = self._live(key, now if since is None else since)
        self._entries[key] = (min(entry[0] * 2, self._max) if entry else self._base, now)

    def delay(self, key: str) -> float:
        """The whole delay in force."""
        entry = self._entries.get(key)
        return entry[0] if entry else 0.0

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)

    def _live(self, key: str, now: float) -> tuple[float, float] | None:
        entry = self._entries.get(key)
        if entry and now - entry[1] > FORGET_SECONDS:
            del self._entries[key]
            return None
        return entry


def go_duration(seconds: float) -> str:
    """As Go prints a duration of whole seconds: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def go_milliseconds(seconds: float) -> str:
    """As Go prints a duration rounded to milliseconds: 312ms, 1.2s, 1m3.04s; 0s below one."""
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{text}" if minutes else text
