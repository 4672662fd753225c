"""What the client machinery needs of a logger; `services.process.logging` makes the real ones."""

from __future__ import annotations

from typing import Any, Protocol


class Logger(Protocol):
    def debug(self, event: str, *args: Any, **values: Any) -> Any: ...
    def info(self, event: str, *args: Any, **values: Any) -> Any: ...
    def warning(self, event: str, *args: Any, **values: Any) -> Any: ...
    def error(self, event: str, *args: Any, **values: Any) -> Any: ...


def default_logger(component: str) -> Logger:
    """For callers that bring none. Imported late: what structlog brings along is the process's to decide."""
    import structlog

    logger: Logger = structlog.get_logger(component=component)
    return logger
