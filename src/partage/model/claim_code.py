"""Claim codes: secrets that make the bearer's project an accepted member of an image. Pure."""

import hashlib
import hmac
from base64 import b32encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NewType

from partage import problems
from partage.model.ids import ImageID
from partage.model.terms import Terms, TermsChange

CodeID = NewType("CodeID", str)
"""The first characters of a code. They are no secret, and name the code in lists and paths."""

PREFIX = "partage-claim"
RANDOM_BYTES = 25
LONGEST_CODE = 255
MOST_USES = 1000
MOST_CODES_OF_IMAGE = 100

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""32 characters that nobody confuses. Source: Douglas Crockford, "Base 32"."""
_RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ENCODING = str.maketrans(_RFC_4648, _ALPHABET)
_READING = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None, "\n": None, "\r": None, "\t": None})
_ID_CHARACTERS = 12
_SECRET_CHARACTERS = RANDOM_BYTES * 8 // 5 - _ID_CHARACTERS
_GROUP = 4


@dataclass(frozen=True, slots=True)
class CodeText:
    """A code as its bearer has it: `partage-claim-`, an id of 12 characters, and a secret of 28 (140 bits), in groups of four."""

    id: CodeID
    secret: str = field(repr=False)

    @classmethod
    def encode(cls, random: bytes) -> "CodeText":
        """Make a code of 25 random bytes."""
        text = b32encode(random).decode().translate(_ENCODING)
        return cls(CodeID(text[:_ID_CHARACTERS]), text[_ID_CHARACTERS:])

    @classmethod
    def parse(cls, text: str) -> "CodeText | None":
        """Read a code, whatever its case, spaces and hyphens, and with O for 0 and I or L for 1. None if it cannot be one."""
        lowered = text.strip().lower()
        if not lowered.startswith(PREFIX):
            return None
        characters = lowered.removeprefix(PREFIX).translate(_READING)
        if len(characters) != _ID_CHARACTERS + _SECRET_CHARACTERS or not set(characters) <= set(_ALPHABET):
            return None
        return cls(CodeID(characters[:_ID_CHARACTERS]), characters[_ID_CHARACTERS:])

    def __str__(self) -> str:
        """Return the text for the bearer."""
        text = self.id + self.secret
        return "-".join([PREFIX, *(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))])

    @property
    def digest(self) -> str:
        """The SHA-256 digest that is stored. It needs no salt and no slow hash: nobody can guess 140 random bits."""
        return hashlib.sha256(f"{self.id}{self.secret}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimCode:
    """A code as it is stored, without its secret. Times are UTC, aware. `terms` are those of the shares that it makes."""

    id: CodeID
    digest: str = field(repr=False)
    image_id: ImageID
    created_at: datetime
    expires_at: datetime
    uses: int
    uses_left: int
    terms: Terms

    def matches(self, text: CodeText) -> bool:
        """Whether this is the code with that text. Compares in constant time."""
        return hmac.compare_digest(self.digest, text.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRequest:
    """What the owner asks of a new code. Without `expires_at` it has the operator's default validity.

    `make_shared`: a private image becomes shared.
    """

    uses: int = 1
    expires_at: datetime | None = None
    terms: TermsChange = field(default_factory=TermsChange)
    make_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """What the operator has chosen for claim codes.

    `failures_per_project` and `failures_per_address` limit the failed claims within `WINDOW`; 0 is no limit.
    """

    validity: timedelta = timedelta(days=7)
    longest_validity: timedelta = timedelta(days=30)
    codes_per_project: int = 1000
    failures_per_project: int = 20
    failures_per_address: int = 100

    def choose_expiry(self, expires_at: datetime | None, now: datetime) -> datetime:
        """Return when a new code expires.

        Raises:
            TermsRefused: it would have expired already, or be valid for too long.
        """
        if expires_at is None:
            return now + self.validity
        if expires_at <= now:
            raise problems.TermsRefused("expires_at is in the past; a code expires later than it is made")
        latest = now + self.longest_validity
        if expires_at > latest:
            raise problems.TermsRefused(f"A code of this cloud expires at the latest at {latest:%Y-%m-%dT%H:%M:%SZ}")
        return expires_at


WINDOW = timedelta(minutes=10)
"""The time in which failed claims are counted."""
