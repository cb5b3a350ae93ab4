"""The query strings of lists: decoding, and the parameter `limit`, which every API has."""

from urllib.parse import parse_qsl

from partage import problems

Parameters = tuple[tuple[str, str], ...]

_MOST_PARAMETERS = 40
"""Each filter is a part of the statement, and databases cache prepared statements: one with 200 filters takes a mebibyte."""

_LONGEST_QUERY = 32_768
_UNREADABLE = (
    "Error decoding your request. Either the URL or the request body contained characters that could not be decoded by this service"
)


def decode(query: bytes) -> Parameters:
    """Decode a query string. Repeated names stay, in their order.

    Raises:
        QueryInvalid: it is not UTF-8, has a NUL character, or has too many parameters.
    """
    if not query:
        return ()
    if len(query) > _LONGEST_QUERY:
        raise problems.QueryInvalid(f"The query has {len(query)} bytes; at most {_LONGEST_QUERY} are read, ask for less at a time")
    try:
        found = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except UnicodeDecodeError as error:
        raise problems.QueryInvalid(_UNREADABLE) from error
    except ValueError as error:
        raise problems.QueryInvalid(f"The query has more than {_MOST_PARAMETERS} parameters; ask for less at a time") from error
    if any("\x00" in name or "\x00" in value for name, value in found):
        raise problems.QueryInvalid(_UNREADABLE)
    return tuple(found)


def parse_limit(text: str | None, default: int, largest: int) -> int:
    """Parse the limit of a list call; a limit above `largest` becomes `largest`.

    Raises:
        QueryInvalid: it is not a number, or negative.
    """
    if text is None:
        return min(default, largest)
    limit = parse_integer(text, "limit param must be an integer")
    if limit < 0:
        raise problems.QueryInvalid("limit param must be positive")
    return min(limit, largest)


def parse_integer(text: str, complaint: str) -> int:
    """Parse an integer.

    Raises:
        QueryInvalid: it is none; with the words of `complaint`.
    """
    try:
        return int(text)
    except ValueError as error:
        raise problems.QueryInvalid(complaint) from error
