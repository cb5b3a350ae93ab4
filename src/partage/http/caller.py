"""Who sends a request: the token's bearer, as the identity service knows it. No other header says anything of identity.

A token that this process does not know is validated in threads that do nothing else, and only so many requests wait for them:
tokens sent at random hold up nobody whose token is known. A token that was valid when it was last asked about has threads of its
own, so that a caller who comes back does not wait behind tokens that nobody has seen before.
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
    """What the edge needs of the identity service. Thread-safe."""

    def find_cached(self, token: str, service_token: str | None = None) -> Caller | None:
        """Return what is known of the token already, or None. Never waits; called in the event loop's thread.

        Raises:
            Unauthenticated: it is known that the token is not valid.
        """

    def was_valid(self, token: str, service_token: str | None = None) -> bool:
        """Say whether the identity service vouched for the tokens when it was last asked. Never waits."""

    def validate(self, token: str, service_token: str | None = None) -> Caller:
        """Return who is behind the token. May wait for the network.

        Raises:
            Unauthenticated: nobody is.
            IdentityUnavailable: the identity service did not say.
        """


class Callers:
    """Finds who sends a request. Used from the event loop's thread only.

    Requests that bring the same unknown token at the same time share one validation and one thread.
    """

    def __init__(self, identity: Identity, threads: Threads, *, waiting: int, anonymous: bool = False) -> None:
        """Let at most `waiting` tokens wait for the identity service; with `anonymous`, some requests need no token."""
        self._identity = identity
        self._threads = threads
        self._waiting = waiting
        self._anonymous = anonymous
        self._asked: dict[_Tokens, asyncio.Task[Caller | problems.Explained]] = {}
        self._strangers = 0

    async def find(self, headers: Mapping[bytes, bytes], *, reads: bool) -> Caller:
        """Return who sent a request with these headers. A request that only `reads` may be anonymous, where that is allowed.

        Raises:
            Unauthenticated: there is no token, or not one that the identity service vouches for.
            IdentityUnavailable: the identity service did not say, or too many tokens wait for it.
        """
        token = headers.get(b"x-auth-token")
        if not token:
            if self._anonymous and reads:
                return ANONYMOUS
            raise problems.Unauthenticated(UNAUTHENTICATED_WORDS)
        service_token = headers.get(b"x-service-token")
        tokens = token.decode("latin-1"), service_token.decode("latin-1") if service_token else None
        known = self._identity.find_cached(*tokens)
        return known if known is not None else await self._validated(tokens)

    async def _validated(self, tokens: _Tokens) -> Caller:
        asked = self._asked.get(tokens)
        if asked is None:
            asked = self._ask(tokens)
        found = await asyncio.shield(asked)  # one request that is given up does not end the question of the others
        if isinstance(found, Caller):
            return found
        raise type(found)(found.reason) from found.__cause__  # one exception object must not be raised in many tasks

    def _ask(self, tokens: _Tokens) -> asyncio.Task[Caller | problems.Explained]:
        is_stranger = not self._identity.was_valid(*tokens)
        if is_stranger and self._strangers >= self._waiting:
            raise problems.IdentityUnavailable(
                f"{self._strangers} tokens wait to be validated by the identity service already; try again in a few seconds"
            )
        asked = self._asked[tokens] = asyncio.create_task(self._answer(tokens, is_stranger=is_stranger))
        return asked

    async def _answer(self, tokens: _Tokens, *, is_stranger: bool) -> Caller | problems.Explained:
        self._strangers += is_stranger
        call = self._threads.call_validation if is_stranger else self._threads.call_revalidation
        try:
            return await call(self._identity.validate, *tokens)
        except (problems.Unauthenticated, problems.IdentityUnavailable) as problem:
            return problem
        finally:
            self._strangers -= is_stranger
            del self._asked[tokens]
