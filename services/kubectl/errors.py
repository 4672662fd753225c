"""What goes wrong, and the words for it: everything that `ok` prints on stderr before it exits.

Commands raise `Fail` (a sentence), `Exit` (silence and a code) or let `ApiError` rise; several at
once travel in `Several`. `render` turns any of them into kubectl's text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from services.api.errors import ApiError, failure


class Fail(Exception):
    """A plain error: printed as `error: …`, ends with `code`."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Verbatim(Fail):
    """A message that is printed as it is, without `error: ` before it."""


class Exit(Exception):
    """Everything was said already: only the exit code is left."""

    def __init__(self, code: int = 1) -> None:
        super().__init__(str(code))
        self.code = code


class Several(Exception):
    """Errors of independent parts of one command, printed one after the other."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = list(errors)


class Refused(Exception):
    """Nobody listens at the server's address."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The connection to the server {address} was refused - did you specify the right host or port?"
        )


def quote(text: str) -> str:
    """Go's `%q` for ordinary text."""
    return json.dumps(text, ensure_ascii=False)


def raise_all(errors: Sequence[Exception]) -> None:
    """Raises what was gathered: nothing, the one error, or all of them."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Several(errors)


def with_source(verb: str, source: str, error: Exception) -> Exception:
    """Says on which file an error happened. Upstream: AddSourceToErr."""
    if not source:
        return error
    if isinstance(error, ApiError):
        message = f"error when {verb} {quote(source)}: {error.message}"
        return ApiError({**error.status, "message": message})
    return Fail(f"error when {verb} {quote(source)}: {error}")


def message_of(error: BaseException) -> str:
    """An error inside a list of errors."""
    if isinstance(error, ApiError):
        return _status_message(error)
    return str(error)


def _status_message(error: ApiError) -> str:
    if error.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({error.message})"
    reason = f" ({error.reason})" if error.reason else ""
    return f"Error from server{reason}: {error.message}"


def render(error: BaseException) -> tuple[str, int]:
    """The text for stderr and the exit code. Upstream: checkErr."""
    if isinstance(error, Several):
        return "\n".join(message_of(inner) for inner in error.errors), 1
    if isinstance(error, ApiError):
        return _refusal(error), 1
    if isinstance(error, Verbatim):
        return str(error), error.code
    if isinstance(error, Refused):
        return str(error), 1
    text = str(error)
    text = text if text.startswith("error: ") else f"error: {text}"
    return text, error.code if isinstance(error, Fail) else 1


def _refusal(error: ApiError) -> str:
    if error.reason != "Invalid":
        return _status_message(error)
    details: dict[str, Any] = error.status.get("details") or {}
    causes = details.get("causes") or []
    if not details:
        return f"The request is invalid: {error.message}" if error.message else "The request is invalid"
    text = "The request is invalid"
    if details.get("kind") or details.get("name"):
        text = f"The {details.get('kind', '')} {quote(details.get('name', ''))} is invalid"
    elif error.message and not causes:
        text = f"{text}: {error.message}"
    lines = list(dict.fromkeys(f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in causes))
    if not lines:
        return text
    if len(lines) == 1:
        return f"{text}: {lines[0]}"
    return "\n".join([f"{text}: ", *(f"* {line}" for line in lines)])


def not_found(kind: str, name: str, group: str = "") -> ApiError:
    """A NotFound that is known without asking."""
    qualified = f"{kind}.{group}" if group else kind
    details = {"name": name, "kind": kind, "group": group}
    return failure(404, "NotFound", f"{qualified} {quote(name)} not found", details)
