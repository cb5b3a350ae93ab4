"""Who sends a request: the token's bearer, as the identity service knows it. No other header says anything of identity."""

from collections.abc import Mapping
from typing import Protocol

from partage import problems
from partage.http.errors import UNAUTHENTICATED_WORDS
from partage.http.threads import Threads
from partage.model.caller import ANONYMOUS, Caller


class Identity(Protocol):
    """What the edge needs of the identity service. Thread-safe."""

    def cached(self, token: str, service_token: str | None = None) -> Caller | None:
        """Return what is known of the token already, or None. Never waits; called in the event loop's thread."""

    def validate(self, token: str, service_token: str | None = None) -> Caller:
        """Return who is behind the token. May wait for the network.

        Raises:
            Unauthenticated: nobody is.
            IdentityUnavailable: the identity service did not say.
        """


async def find(headers: Mapping[bytes, bytes], identity: Identity, threads: Threads, *, anonymous: bool = False) -> Caller:
    """Return who sent a request with these headers; with `anonymous`, that may be somebody without a token.

    Raises:
        Unauthenticated: there is no token, or not one that the identity service vouches for.
        IdentityUnavailable: the identity service did not say.
    """
    token = headers.get(b"x-auth-token")
    if not token:
        if anonymous:
            return ANONYMOUS
        raise problems.Unauthenticated(UNAUTHENTICATED_WORDS)
    text = token.decode("latin-1")
    service_token = headers.get(b"x-service-token")
    beside = service_token.decode("latin-1") if service_token else None
    known = identity.cached(text, beside)
    return known if known is not None else await threads.call(identity.validate, text, beside)
