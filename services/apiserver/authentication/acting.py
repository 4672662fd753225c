"""In whose name the present request is done: rules, admission and the audit log ask here.

Fronts say it once a request is let in; what runs for the request, in tasks of its own too, finds it. Outside
of any request it is the API server itself, which may do everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from services.apiserver.authentication.users import AUTHENTICATED, MASTERS, User

APISERVER = User("system:apiserver", (MASTERS, AUTHENTICATED))
_ACTING: ContextVar[User] = ContextVar("acting", default=APISERVER)


def acting() -> User:
    return _ACTING.get()


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    token = _ACTING.set(user)
    try:
        yield
    finally:
        _ACTING.reset(token)
