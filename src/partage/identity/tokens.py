"""Cache the identity service's validations of tokens for seconds. Concurrent requests with one token share one validation.

It does not know Keystone: it caches a `TokenValidation`. It keeps no token, only a digest keyed with a random key of this process,
so that neither a core dump nor a log contains a usable token.
"""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from partage import problems
from partage.model.caller import Caller

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenValidation:
    """The result of a validation: the caller, or None if the token was refused; and the epoch second at which the token expires."""

    caller: Caller | None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    validation: TokenValidation
    fresh_until: float


class TokenCache:
    """Cache of validations: at most `entries` callers and as many refusals. The least recently used entry is evicted first.

    Refusals have a table of their own, so that random tokens evict no callers.

    Thread-safe: one lock guards the tables and is not held during a validation. Concurrent requests with one token share one
    validation: the first thread runs it, the others wait for its result or its failure.
    """

    def __init__(
        self,
        *,
        seconds: float,
        refused_seconds: float = 2.0,
        entries: int = 10_000,
        monotonic: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        """Cache validations for `seconds`, and refusals for the shorter of `seconds` and `refused_seconds`; 0 caches nothing."""
        self._seconds = seconds
        self._refused_seconds = min(refused_seconds, seconds)
        self._entries = entries
        self._monotonic = monotonic
        self._wall = wall
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._callers: OrderedDict[bytes, _Entry] = OrderedDict()
        self._refusals: OrderedDict[bytes, _Entry] = OrderedDict()
        self._asking: dict[bytes, Future[TokenValidation]] = {}

    def __len__(self) -> int:
        return len(self._callers) + len(self._refusals)

    def find_cached(self, token: str, *, kind: bytes = b"") -> TokenValidation | None:
        """Return the cached validation of `token` if it is fresh, or None. Never waits."""
        with self._lock:
            return self._find_fresh(self._hash_token(token, kind))

    def was_valid(self, token: str, *, kind: bytes = b"") -> bool:
        """Return whether `token` was valid at its last validation, even if the cached validation is not fresh any more."""
        with self._lock:
            return self._hash_token(token, kind) in self._callers

    def find(self, token: str, ask: Callable[[], TokenValidation], *, kind: bytes = b"") -> TokenValidation:
        """Return the validation of `token`: a fresh cached one, or the result of `ask`. Each `kind` has its own entries.

        Raises:
            IdentityUnavailable: `ask` failed, here or in the thread for whose result this one waited. Nothing is cached then.
        """
        key = self._hash_token(token, kind)
        with self._lock:
            known = self._find_fresh(key)
            if known is not None:
                return known
            answer = self._asking.get(key)
            leads = answer is None
            if answer is None:
                answer = self._asking[key] = Future()
        if leads:
            self._validate(key, answer, ask)
        try:
            return answer.result()
        except problems.IdentityUnavailable as problem:
            # One exception object must not be raised in many threads; its cause may be shared.
            raise problems.IdentityUnavailable(problem.reason) from problem.__cause__

    def _hash_token(self, token: str, kind: bytes) -> bytes:
        return hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=32, key=self._secret, person=kind).digest()

    def _find_fresh(self, key: bytes) -> TokenValidation | None:
        """Return a fresh validation, or None. A caller that is not fresh any more stays in the table for `was_valid`."""
        table = self._callers if key in self._callers else self._refusals
        found = table.get(key)
        if found is None:
            return None
        expires_at = found.validation.expires_at
        if expires_at is not None and self._wall() >= expires_at:
            del table[key]
            return None
        if self._monotonic() >= found.fresh_until:
            return None
        table.move_to_end(key)
        return found.validation

    def _validate(self, key: bytes, answer: Future[TokenValidation], ask: Callable[[], TokenValidation]) -> None:
        asked_at = self._monotonic()  # the result may be as old as the request
        try:
            validation = ask()
        except BaseException as failure:  # noqa: BLE001 - it is raised again, in every thread that waits for it
            with self._lock:
                del self._asking[key]
            answer.set_exception(failure)
            return
        with self._lock:
            del self._asking[key]
            self._remember(key, validation, asked_at)
        answer.set_result(validation)

    def _remember(self, key: bytes, validation: TokenValidation, asked_at: float) -> None:
        self._callers.pop(key, None)
        self._refusals.pop(key, None)
        seconds = self._seconds if validation.caller is not None else self._refused_seconds
        if seconds <= 0:
            return
        table = self._callers if validation.caller is not None else self._refusals
        table[key] = _Entry(validation, asked_at + seconds)
        while len(table) > self._entries:
            table.popitem(last=False)
