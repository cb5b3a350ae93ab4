"""Masks secrets in settings that are shown: passwords, and credentials in URLs. Reads no settings itself."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

MASK = "********"

_SECRET_NAME = re.compile("pass|pwd|secret|token|key|credential|auth|sig", re.IGNORECASE)
_PARAMETER = re.compile("([^&;=]*)=([^&;]*)")


def mask_secret(secret: str, *, is_url: bool) -> str:
    """Mask a secret. Of a URL with credentials, the rest stays: scheme, user, host and path. A user without a password is masked.

    >>> mask_secret("postgresql://partage:pw@db/partage?sslpassword=pw", is_url=True)
    'postgresql://partage:********@db/partage?sslpassword=********'
    >>> mask_secret("https://key@traces.example/v1", is_url=True)
    'https://********@traces.example/v1'
    >>> mask_secret("a://password", is_url=False)
    '********'
    """
    if is_url and "://" in secret:
        return mask_url(secret)
    return MASK if secret else ""


def mask_url(text: str) -> str:
    """Mask the credentials in a text that may be a URL: the password, and parameters that are named like secrets."""
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:  # no valid host: nobody can say which part of it is a password
        return MASK if "@" in text or "?" in text else text
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _password = credentials.partition(":")
    place = f"{user if colon else ''}{colon}{MASK}@{host}" if at else parts.netloc
    query = _PARAMETER.sub(lambda found: f"{found[1]}={MASK}" if _SECRET_NAME.search(found[1]) else found[0], parts.query)
    # Within the text as it was written: urlunsplit would change the slashes of sqlite:////path.
    shown = text.replace(f"//{parts.netloc}", f"//{place}", 1)
    return shown.replace(f"?{parts.query}", f"?{query}", 1)


def refuse_credentials(url: str) -> str:
    """Return the URL of a setting that clients or logs get to see.

    Raises:
        ValueError: it has a user or a password; the message does not show them.
    """
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("must be a URL without a user and a password, because others get to see it")
    return url


PlainURL = Annotated[str, AfterValidator(refuse_credentials)]
"""The URL of a setting that clients or logs get to see."""
