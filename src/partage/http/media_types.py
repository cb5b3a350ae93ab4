"""Which form a client prefers: HTML, JSON or plain text."""

_MOST_RANGES = 100
"""At most so many media ranges are parsed: a header of 64 KiB can have 30,000, and every error reads it."""


def choose_form(accept: str | None) -> str:
    """Choose a form from the Accept header: HTML, JSON, or plain text when neither is taken.

    Source: RFC 9110, 12.5.1, as Glance (WebOb) reads it: HTML wins a tie, a type with parameters is another type, a header with a
    malformed type is read as `*/*`, and without a header the form is plain text.
    """
    if accept is None:
        return "text/plain"
    if accept == "*/*":
        return "text/html"
    ranges = [_parse_media_range(part) for part in accept.split(",", _MOST_RANGES)[:_MOST_RANGES] if part.strip()]
    if any("/" not in name for name, _quality in ranges):
        return "text/html"
    best = max(("text/html", "application/json"), key=lambda offer: _find_quality(offer, ranges))
    return best if _find_quality(best, ranges) > 0 else "text/plain"


def prefers_json(accept: str | None) -> bool:
    """Return whether a client takes JSON, and prefers it to plain text and to HTML."""
    if choose_form(accept) != "application/json":
        return False
    ranges = [_parse_media_range(part) for part in (accept or "").split(",", _MOST_RANGES)[:_MOST_RANGES] if part.strip()]
    return _find_quality("application/json", ranges) > _find_quality("text/plain", ranges)


def _parse_media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    for number, parameter in enumerate(parameters):
        if parameter.startswith("q="):
            try:
                return ";".join([name, *parameters[:number]]), float(parameter[2:])
            except ValueError:
                return name, 0.0
    return ";".join([name, *parameters]), 1.0


def _find_quality(offer: str, ranges: list[tuple[str, float]]) -> float:
    for candidate in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in ranges if name == candidate]
        if found:
            return max(found)
    return 0.0
