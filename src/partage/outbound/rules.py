"""Which URLs the service opens on a user's behalf. No input or output.

The rules depend on who gave the URL: a user or the operator. A URL is parsed once, by a grammar narrower than any library's,
into a `Target`. Nothing parses it again, so that two parsers cannot disagree about where it leads. `Rules.permits` checks
addresses: here if the URL contains one, in `fetch.py` after a name was resolved. Messages name the rule that was violated, and
never what is at an address.

Source of the grammar: RFC 3986, less what is not needed; hosts that end in a number are addresses, as in the WHATWG URL standard.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin

from partage import problems
from partage.outbound import addresses

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 8192

_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?(?:#.*)?")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253
_HIGHEST_PORT = 65535
_EVERYWHERE = (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0"))

_HOST_REFUSED = (
    "The service does not open the host of this URL: it has to be a name or address that is allowed and that leads to "
    "public addresses only; use another URL, or ask the operator to allow the network"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator permits, and the timeouts.

    A host in a list matches itself; a host that begins with a dot also matches every name below it. Denied hosts win over
    allowed ones; without allowed hosts, all are allowed. Allowing a host does not allow its addresses: they must be public, or
    in `networks_allowed`. `connect_seconds` is the timeout of connecting and reading the head of the response. With
    `hides_failures` every failure in that phase takes exactly that time.
    """

    schemes: Collection[str] = ("http", "https")
    ports: Collection[int] = (80, 443)
    hosts_allowed: Collection[str] = ()
    hosts_denied: Collection[str] = ()
    networks_allowed: Collection[addresses.Network] = ()
    networks_denied: Collection[addresses.Network] = ()
    redirects: int = 10
    total_seconds: float = 21_600.0
    connect_seconds: float = 20.0
    silence_seconds: float = 60.0
    slowest_bytes_per_second: int = 1000
    header_bytes: int = 65_536
    cafile: str = ""
    hides_failures: bool = True

    def permits(self, address: addresses.Address) -> bool:
        """Whether a connection to the address may be opened. The rules must permit each address that it embeds as well."""
        return all(self._permits(each) for each in (address, *addresses.find_embedded(address)))

    def _permits(self, address: addresses.Address) -> bool:
        if any(address in network for network in self.networks_denied):
            return False
        return addresses.is_public(address) or any(address in network for network in self.networks_allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a URL leads.

    `host` is in lower case, an IPv6 address without brackets; `path` includes the query. `address` None: the host is a name.
    """

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    address: addresses.Address | None

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: the same for two URLs of one server."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, rules: Rules) -> Target:
    """Parse a URL and check it against the rules. A name is not resolved here; its addresses have to be checked later.

    Raises:
        UriRefused: it is no URL, is ambiguous, or a rule forbids it.
    """
    scheme, authority, path = _parts(url)
    if scheme not in rules.schemes or scheme not in DEFAULT_PORTS:
        raise problems.UriRefused(f"The service opens URLs by {_join(rules.schemes)} only, not by {scheme[:20]}")
    host, port = _host_and_port(authority)
    address = _address_of_host(host)
    target = Target(
        scheme=scheme,
        host=str(address) if address else _name_of_host(host),
        port=port or DEFAULT_PORTS[scheme],
        path=path,
        address=address,
    )
    if target.port not in rules.ports:
        raise problems.UriRefused(f"The service does not open URLs at port {target.port}; allowed: {_join(rules.ports)}")
    if not _host_allowed(target.host, rules) or (address is not None and not rules.permits(address)):
        raise host_refused()
    return target


def operators_rules(rules: Rules, *, cafile: str) -> Rules:
    """Return the rules for URLs that the operator configured, such as the endpoints of the catalog; the timeouts stay.

    They may lead to private networks, so that failures need not be hidden. Redirects are not followed, because these requests
    carry a user's token.
    """
    return replace(
        rules,
        ports=range(1, _HIGHEST_PORT + 1),
        hosts_allowed=(),
        hosts_denied=(),
        networks_allowed=_EVERYWHERE,
        networks_denied=(),
        redirects=0,
        cafile=cafile,
        hides_failures=False,
    )


def check_given(url: str, rules: Rules, *, purpose: str) -> Target:
    """Check a URL that a user gave, as `check_url` does; the message begins with Glance's words, which clients recognise.

    Raises:
        UriRefused: as for `check_url`.
    """
    try:
        return check_url(url, rules)
    except problems.UriRefused as refusal:
        raise problems.UriRefused(f"URI for {purpose} does not pass filtering: {refusal}") from refusal


def check_redirect(source: Target, location: str, rules: Rules) -> Target:
    """Parse the Location of a redirect, which may be relative, and check it against the same rules.

    Raises:
        UriRefused: as for `check_url`, or an encrypted connection would be given up for one that is not.
    """
    if not _CHARACTERS.fullmatch(location):
        raise problems.UriRefused("The URL redirects to something that is not a URL")
    try:
        joined = urljoin(f"{source.scheme}://{source.authority}{source.path}", location)
    except ValueError as error:
        raise problems.UriRefused("The URL redirects to something that is not a URL") from error
    target = check_url(joined, rules)
    if source.scheme == "https" and target.scheme != "https":
        raise problems.UriRefused("The URL redirects from https to http, which is not followed; use the final URL")
    return target


def host_refused() -> problems.UriRefused:
    """Return the one problem for every host that is refused: denied, not public, or not found.

    If names without addresses could be distinguished from names with internal addresses, users could enumerate internal names.
    """
    return problems.UriRefused(_HOST_REFUSED)


def _parts(url: str) -> tuple[str, str, str]:
    """Split into scheme, authority, and path with query. The fragment is dropped, because it is not sent."""
    if len(url) > LONGEST_URL:
        raise problems.UriRefused(f"The URL is longer than {LONGEST_URL} characters")
    if not _CHARACTERS.fullmatch(url):
        raise problems.UriRefused("The URL is empty, or has characters that URLs do not have; percent-encode them")
    match = _URL.fullmatch(url)
    if match is None:
        raise problems.UriRefused("The URL is not complete; it has the form https://host/path")
    scheme, authority, path, query = match.groups(default="")
    return scheme.lower(), authority, (path or "/") + query


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise problems.UriRefused("The URL holds a user name or password, which are never sent; leave them out")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise problems.UriRefused("The host or port of the URL is malformed; it has the form https://host:port/path")
    host, port = match.groups()
    if port is not None and int(port) > _HIGHEST_PORT:
        raise problems.UriRefused(f"The port of the URL is above {_HIGHEST_PORT}")
    return host.lower(), int(port) if port else None


def _address_of_host(host: str) -> addresses.Address | None:
    """Parse a host that is an address; None if it is a name."""
    bracketed = host.startswith("[")
    if not bracketed and not _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        return None
    address = addresses.address_of(host.strip("[]"))
    if address is None or (":" in host) != bracketed:
        raise problems.UriRefused("The address in the URL is malformed; write IPv4 as four decimal numbers, IPv6 in brackets")
    return address


def _name_of_host(host: str) -> str:
    name = host.removesuffix(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise problems.UriRefused("The host name in the URL is malformed")
    return name


def _host_allowed(host: str, rules: Rules) -> bool:
    if _host_listed(host, rules.hosts_denied):
        return False
    return not rules.hosts_allowed or _host_listed(host, rules.hosts_allowed)


def _host_listed(host: str, entries: Collection[str]) -> bool:
    return any(host == entry.lower().strip("[].") or (entry.startswith(".") and host.endswith(entry.lower())) for entry in entries)


def _join(values: Collection[str] | Collection[int]) -> str:
    return ", ".join(str(value) for value in sorted(values, key=str)) or "nothing"
