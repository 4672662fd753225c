"""Who somebody is, and what they may do: config/registry.yaml, and the accounts that people made.

    signUp: free | closed      free: the first login with an unknown user name makes the account
    accounts: {user: password}
    private: [patterns]        of repositories that only their owner can pull

Everybody may pull what is not private. `docker.io/OWNER/…` may be pushed to by OWNER; a name without an
owner (`crane`) by anybody who is logged in, unless it is an official image; names of other hosts likewise.
Accounts that were made are kept in the data folder, their passwords only as salted hashes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ACCOUNTS_MAX = 10_000
TOKEN_SECONDS = 300
PASSWORD_LENGTH_MAX = 200
USER_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
ROUNDS = 10_000  # a model of a registry, on loopback: enough to keep nobody's password in the clear
FIELDS = {"signUp", "accounts", "private"}


class BadAccounts(Exception):
    """config/registry.yaml cannot be used as it is."""


class WrongPassword(Exception):
    """The user name or the password is wrong."""


@dataclass(frozen=True, slots=True)
class Policy:
    free_sign_up: bool = True
    accounts: dict[str, str] = field(default_factory=dict)  # passwords in the clear
    private: tuple[re.Pattern[str], ...] = ()


def load_policy(path: Path) -> Policy:
    """Raises BadAccounts with one line. A file that is not there is the free registry."""
    if not path.is_file():
        return Policy()
    try:
        table: Any = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadAccounts(f"{path.name}: {' '.join(str(error).split())}") from error
    if not isinstance(table, dict):
        raise BadAccounts(f"{path.name}: a table is wanted at the top")
    if unknown := set(map(str, table)) - FIELDS:
        raise BadAccounts(f"{path.name}: unknown field {sorted(unknown)[0]!r}")
    if table.get("signUp", "free") not in ("free", "closed"):
        raise BadAccounts(f"{path.name}: signUp: free or closed is wanted")
    accounts, private = table.get("accounts") or {}, table.get("private") or []
    if not isinstance(accounts, dict) or not isinstance(private, list):
        raise BadAccounts(f"{path.name}: accounts is a table of user: password, private a list of patterns")
    for user in accounts:
        if not USER_NAME.fullmatch(str(user)):
            raise BadAccounts(f"{path.name}: accounts: {user!r} cannot be a user name")
    try:
        patterns = tuple(re.compile(str(pattern)) for pattern in private)
    except re.error as error:
        raise BadAccounts(f"{path.name}: private: {error}") from error
    passwords = {str(user): str(password) for user, password in accounts.items()}
    return Policy(table.get("signUp", "free") == "free", passwords, patterns)


class Accounts:
    def __init__(self, policy: Policy, folder: Path, key: bytes) -> None:
        self._policy, self._path, self._key = policy, folder / "accounts.json", key
        self._made: dict[str, str] = {}
        if self._path.is_file():
            try:
                self._made = {
                    str(user): str(kept) for user, kept in json.loads(self._path.read_text()).items()
                }
            except (ValueError, AttributeError):
                self._path.replace(self._path.with_suffix(".unreadable"))

    def login(self, user: str, password: str) -> str:
        """The user's name; "" for nobody. Raises WrongPassword."""
        if not user and not password:
            return ""
        if not USER_NAME.fullmatch(user) or not 0 < len(password) <= PASSWORD_LENGTH_MAX or len(user) > 64:
            raise WrongPassword
        if user in self._policy.accounts:
            right = hmac.compare_digest(self._policy.accounts[user].encode(), password.encode())
        elif user in self._made:
            salt = self._made[user].partition("$")[0]
            right = hmac.compare_digest(self._made[user], _hashed(salt, password))
        else:
            right = self._policy.free_sign_up and self._sign_up(user, password)
        if not right:
            raise WrongPassword
        return user

    def _sign_up(self, user: str, password: str) -> bool:
        if len(self._made) >= ACCOUNTS_MAX:
            return False
        salt = hashlib.sha256(self._key + user.encode()).hexdigest()[:16]
        self._made[user] = _hashed(salt, password)
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(self._made))
        written.replace(self._path)
        return True

    def token(self, user: str, now: float) -> str:
        """Proves for a while who somebody is. `now` in seconds since 1970."""
        said = base64.urlsafe_b64encode(json.dumps([user, int(now) + TOKEN_SECONDS]).encode()).decode()
        return f"{said}.{self._signature(said)}"

    def user_of(self, token: str, now: float) -> str:
        """Raises WrongPassword when the token is not ours, or too old."""
        said, _, signature = token.partition(".")
        if not hmac.compare_digest(self._signature(said).encode(), signature.encode()):
            raise WrongPassword
        user, expires = json.loads(base64.urlsafe_b64decode(said))
        if expires < now:
            raise WrongPassword
        return str(user)

    def _signature(self, said: str) -> str:
        return hmac.new(self._key, said.encode(), hashlib.sha256).hexdigest()

    def may_pull(self, user: str, repository: str) -> bool:
        if not any(pattern.fullmatch(repository) for pattern in self._policy.private):
            return True
        return bool(user) and user == owner_of(repository)

    def may_push(self, user: str, repository: str, *, official: bool) -> bool:
        if not user or official:
            return False
        owner = owner_of(repository)
        return not repository.startswith("docker.io/") or owner in ("library", user)


def owner_of(repository: str) -> str:
    """docker.io/me/app: me."""
    parts = repository.split("/")
    return parts[1] if len(parts) > 2 else ""


def _hashed(salt: str, password: str) -> str:
    return f"{salt}${hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), ROUNDS).hex()}"
