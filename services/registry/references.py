"""Names as the registry reads them: which repository they mean, whatever door they came through.

    nginx, docker.io/nginx, 127.0.0.1:5001/nginx      docker.io/library/nginx
    127.0.0.1:5001/me/app, localhost:5001/me/app      docker.io/me/app
    127.0.0.1:5001/quay.io/x/y                        quay.io/x/y

So what somebody pushes to the HTTP port is what the nodes find under the plain name. Pure.
"""

from __future__ import annotations

from services.machinery.image_names import canonical, repository_of, tag_of

OWN_HOSTS = ("127.0.0.1", "localhost")
DENIED = (
    "pull access denied, repository does not exist or may require authorization: "
    "server message: insufficient_scope: authorization failed"
)


class Refusal(Exception):
    """The registry says no. `kind`: denied, unauthorized, missing-tag, invalid or full."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def parse(name: str) -> tuple[str, str, str]:
    """A name as people write it: the full reference, the repository that it means, its tag or digest."""
    try:
        reference = canonical(name)
        repository = _home(repository_of(reference))
    except ValueError as error:
        raise Refusal("invalid", f'could not parse reference "{name}": {error}') from error
    return reference, repository, tag_of(reference) or reference.partition("@")[2]


def repository_at(path: str, host: str = "") -> str:
    """What `path` in a URL means; `host` is the one that a mirror's client asks for. Raises Refusal."""
    try:
        return _home(repository_of(canonical(f"{host}/{path}" if host else path)))
    except ValueError as error:
        raise Refusal("invalid", "invalid repository name") from error


def shown(repository: str) -> str:
    """As in `_catalog`: what to put behind this registry's address."""
    return repository.removeprefix("docker.io/")


def _home(repository: str) -> str:
    host, _, path = repository.partition("/")
    return repository_of(canonical(path)) if host.partition(":")[0] in OWN_HOSTS else repository
