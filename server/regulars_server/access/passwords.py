"""Passwords: argon2id, in threads of their own so that the loop goes on and memory is bounded."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from regulars_sync.errors import Refused

T = TypeVar("T")

PASSWORD_CHARS_MIN = 8
PASSWORD_CHARS_MAX = 1_000
NAME_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Argon2:
    """What a hash costs. A login hashed at another cost is hashed again when it is next used."""

    passes: int = 2
    memory_kib: int = 19_456
    lanes: int = 1
    threads: int = 2
    """Hashes at the same time; 0 hashes in the loop, for simulations on virtual time."""


def plain_name(name: str) -> str:
    """The one spelling of a login's name: without case, wide letters or spaces at its ends."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
    return folded.encode("utf-8", "replace").decode()


def check_name(name: str) -> None:
    """`Refused("argument_invalid")` when this plain name can't be a login's."""
    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise Refused("argument_invalid", reason=f"A login's name has 1 to {NAME_CHARS_MAX} characters.")


def check_password(password: str, name: str) -> None:
    """`Refused("argument_invalid")` when the password is too easily guessed to be taken."""
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        reason = f"A password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters."
        raise Refused("argument_invalid", reason=reason)
    if plain_name(password) == name:
        raise Refused("argument_invalid", reason="The password must not be the login's name.")


class Passwords:
    """Hashes secrets that people choose or type, and compares them."""

    def __init__(self, cost: Argon2, entropy: Callable[[int], bytes]) -> None:
        self._hasher = PasswordHasher(cost.passes, cost.memory_kib, cost.lanes)
        self._entropy = entropy
        self._threads = cost.threads
        self._pool: ThreadPoolExecutor | None = None
        self._nobodys: str | None = None

    async def open(self) -> None:
        if self._threads and self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "argon2")
        self._nobodys = await self.hash(self._entropy(16).hex())

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    async def hash(self, password: str) -> str:
        salt = self._entropy(self._hasher.salt_len)
        return await self._run(lambda: self._hasher.hash(_encoded(password), salt=salt))

    async def fits(self, password: str, hashed: str | None) -> bool:
        """Whether the hash was made from this password: one verification, also where there is no hash."""
        if hashed is None or len(password) > PASSWORD_CHARS_MAX:
            assert self._nobodys is not None, "open() comes first"
            await self._run(lambda: self._verify("", self._nobodys or ""))
            return False
        return await self._run(lambda: self._verify(password, hashed))

    def is_dated(self, hashed: str) -> bool:
        """Whether the hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, password: str, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, _encoded(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pool is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _encoded(password: str) -> bytes:
    """Its bytes, the same from every keyboard."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")
