"""Words of messages that depend on a number."""


def count(number: int, noun: str) -> str:
    """Name a number of things; the plural of the noun, or of its first word before "of", ends with s.

    >>> count(1, "server"), count(2, "server"), count(0, "use of images")
    ('1 server', '2 servers', '0 uses of images')
    """
    first, of, rest = noun.partition(" of ")
    return f"{number} {first}{'' if number == 1 else 's'}{of}{rest}"


def be(number: int) -> str:
    """Return "is" or "are"."""
    return "is" if number == 1 else "are"
