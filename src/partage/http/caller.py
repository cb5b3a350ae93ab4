"""Finds the caller of a request: the owner of the token, as the identity service states. No other header states identity.

An unknown token is validated in threads of a separate pool, with a limit of waiting tokens: random tokens do not delay callers with
known tokens. Tokens that were valid at their last validation have a pool of their own, so that a returning caller does not wait
behind unknown tokens.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from partage import problems
from partage.http.errors import UNAUTHENTICATED_WORDS
from partage.http.server.threads import Threads
from partage.model.caller import ANONYMOUS, Caller

_Tokens = tuple[str, str | None]


class Identity(Protocol):
    """The identity service, as the HTTP layer uses it. Thread-safe."""

    def find_cached(self, token: str, service_token: str | None = None) -> Caller | None:
        """Return the cached caller of the token, or None. Never waits; called in the event loop's thread.

        Raises:
            Unauthenticated: the token is cached as invalid.
        """

    def was_valid(self, token: str, service_token: str | None = None) -> bool:
        """Return whether the tokens were valid at their last validation. Never waits."""

    def validate(self, token: str, service_token: str | None = None) -> Caller:
        """Validate the token and return its caller. May wait for the network.

        Raises:
            Unauthenticated: the token is not valid.
            IdentityUnavailable: the identity service did not respond.
        """


class Callers:
    """Finds the callers of requests. Used from the event loop's thread only.

    Requests that bring the same unknown token at the same time share one validation and one thread.
    """

    def __init__(self, identity: Identity, threads: Threads, *, waiting: int, anonymous: bool = False) -> None:
        """Let at most `waiting` tokens wait for the identity service; with `anonymous`, some requests need no token."""
        self._identity = identity
        self._threads = threads
        self._waiting = waiting
        self._anonymous = anonymous
        self._pending: dict[_Tokens, asyncio.Task[Caller | problems.Explained]] = {}
        self._unknown_waiting = 0

    async def find(self, headers: Mapping[bytes, bytes], *, reads: bool) -> Caller:
        """Return the caller of a request with these headers. A request that only `reads` may be anonymous, if that is enabled.

        Raises:
            Unauthenticated: there is no token, or it is not valid.
            IdentityUnavailable: the identity service did not respond, or too many tokens wait for it.
        """
        token = headers.get(b"x-auth-token")
        if not token:
            if self._anonymous and reads:
                return ANONYMOUS
            raise problems.Unauthenticated(UNAUTHENTICATED_WORDS)
        service_token = headers.get(b"x-service-token")
        tokens = token.decode("latin-1"), service_token.decode("latin-1") if service_token else None
        known = self._identity.find_cached(*tokens)
        return known if known is not None else await self._validate(tokens)

    async def _validate(self, tokens: _Tokens) -> Caller:
        pending = self._pending.get(tokens)
        if pending is None:
            pending = self._start_validation(tokens)
        found = await asyncio.shield(pending)  # a cancelled request does not cancel the validation for the others
        if isinstance(found, Caller):
            return found
        raise type(found)(found.reason) from found.__cause__  # one exception object must not be raised in many tasks

    def _start_validation(self, tokens: _Tokens) -> asyncio.Task[Caller | problems.Explained]:
        is_unknown = not self._identity.was_valid(*tokens)
        if is_unknown and self._unknown_waiting >= self._waiting:
            raise problems.IdentityUnavailable(
                f"{self._unknown_waiting} tokens wait to be validated by the identity service already; try again in a few seconds"
            )
        pending = self._pending[tokens] = asyncio.create_task(self._run_validation(tokens, is_unknown=is_unknown))
        return pending

    async def _run_validation(self, tokens: _Tokens, *, is_unknown: bool) -> Caller | problems.Explained:
        self._unknown_waiting += is_unknown
        call = self._threads.call_validation if is_unknown else self._threads.call_revalidation
        try:
            return await call(self._identity.validate, *tokens)
        except (problems.Unauthenticated, problems.IdentityUnavailable) as problem:
            return problem
        finally:
            self._unknown_waiting -= is_unknown
            del self._pending[tokens]
