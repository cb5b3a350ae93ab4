"""How URLs are read: those that are taken, those that are not, and that there are no two readings of one."""

import string
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.outbound.rules import LONGEST_URL, Rules, Target, check_redirect, check_url

TAKEN = {
    "http://example.org": ("http", "example.org", 80, "/"),
    "HTTP://Example.ORG/A": ("http", "example.org", 80, "/A"),
    "https://example.org": ("https", "example.org", 443, "/"),
    "https://example.org:443/": ("https", "example.org", 443, "/"),
    "https://example.org:80/": ("https", "example.org", 80, "/"),
    "http://example.org./x": ("http", "example.org", 80, "/x"),
    "http://xn--bcher-kva.example/": ("http", "xn--bcher-kva.example", 80, "/"),
    "http://a_b.example/": ("http", "a_b.example", 80, "/"),
    "http://mirror/": ("http", "mirror", 80, "/"),
    "http://1e100.net/": ("http", "1e100.net", 80, "/"),
    "http://example.org?x=1": ("http", "example.org", 80, "/?x=1"),
    "http://example.org/a?b#c": ("http", "example.org", 80, "/a?b"),
    "http://example.org#@10.0.0.1/": ("http", "example.org", 80, "/"),
    "http://example.org/@10.0.0.1/": ("http", "example.org", 80, "/@10.0.0.1/"),
    "http://example.org/?u=http://10.0.0.1/": ("http", "example.org", 80, "/?u=http://10.0.0.1/"),
    "http://example.org/../a//b/./c": ("http", "example.org", 80, "/../a//b/./c"),
    "http://example.org/%2e%2E%2f%00?a=%0d%0a": ("http", "example.org", 80, "/%2e%2E%2f%00?a=%0d%0a"),
    "http://example.org/[x]?y[]=1": ("http", "example.org", 80, "/[x]?y[]=1"),
    "http://8.8.8.8/": ("http", "8.8.8.8", 80, "/"),
    "http://[2606:4700:4700::1111]/": ("http", "2606:4700:4700::1111", 80, "/"),
    "http://[2606:4700:4700:0:0:0:0:1111]:443/": ("http", "2606:4700:4700::1111", 443, "/"),
    "http://[::ffff:8.8.8.8]/": ("http", "8.8.8.8", 80, "/"),
}

HOSTS = [  # each in several URLs below
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "0", "0.", "00", "0.0.0.0", "0x0", "2130706433", "0x7f000001", "0X7F000001",
    "017700000001",
    "0177.0.0.1", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1", "127.0.0.0x1", "127.0x0.1", "127.0.0.01", "127.0.0.1.0", "256.256.256.256",
    "1.2.3.4.5",
    "0x7f000001.", "2852039166", "0xa9fea9fe", "169.254.169.254", "10.0.0.1", "10.1", "172.16.0.1", "192.168.0.1", "100.64.0.1",
    "100.100.100.200", "168.63.129.16", "198.18.0.1", "224.0.0.1", "255.255.255.255", "192.0.0.192",
    "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::]", "[2001:db8::1]", "[fd00:ec2::254]", "[fc00::1]", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]",
    "[::1%251]",
    "[ff02::1]", "[::ffff:169.254.169.254]", "[2a00::5efe:10.0.0.1]",
    "[::1", "::1]", "::1", "[]", "[127.0.0.1]", "[8.8.8.8]", "[v1.fe80]", "[::1]x", "x[::1]", "[[::1]]", "[:::1]", "[1::2::3]",
    "[g::1]",
    "①②⑦.⓪.⓪.①", "\uff11\uff12\uff17.0.0.1", "127。0。0。1", "ⓛocalhost", "bücher.example", "exa\u00admple.org",
    "example.org\u3002",
    "user@example.org", "user:pass@example.org", "example.org@127.0.0.1", "a\\@127.0.0.1", "127.0.0.1%2f@a", "@127.0.0.1",
    ":@127.0.0.1",
    "127.0.0.1\\@example.org", "example.org:80@127.0.0.1", "127.0.0.1&@example.org", "@", "a@b@c",
    "example.org:", "example.org:99999", "example.org:65536", "example.org:-1", "example.org:0", "example.org:00080",
    "example.org:+80",
    "example.org:80:443", "example.org:\uff18\uff10", "example.org:8 0", "example.org:http", "example.org:0x50",
    "example.org:80\\@x",
    "", ".", "..", ".example.org", "example..org", "example.org..", "-example.org", "example-.org", "a" * 64 + ".org", "a" * 300,
    ".".join(["a" * 50] * 6), "exa mple.org", "example.org\t", "\texample.org", "example.org\x00", "example.org\r\nX: y",
    "ex%61mple.org",
    "127.0.0.1%00.example.org", "example.org;", "example,org", "exa$mple.org", "(example.org)", "example.org'",
    '"example.org"', "<a>",
    "*.example.org", "!", "~", "example.org|", "{a}", "`id`", "$(id)", "a^b",
]  # fmt: skip
WHOLE = [
    "", " ", "/", "//", "example.org", "example.org/x", "//example.org/x", "http", "http:", "http:/", "http://", "http:///",
    "http:///x",
    "http:////example.org", "http:example.org", "http:/example.org", "http:\\\\example.org", "http:/\\example.org",
    "://example.org",
    ":http://example.org", " http://example.org", "http://example.org ", "\thttp://example.org", "ht\ntp://example.org",
    "\x00http://example.org",
    "http ://example.org", "http://?x", "http://#x", "http:// example.org", "url:http://example.org",
    "view-source:http://example.org",
    "file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "ftp://example.org/x", "gopher://127.0.0.1:70/_x",
    "dict://127.0.0.1:11211/stat", "ldap://127.0.0.1/", "tftp://127.0.0.1/x", "jar:http://example.org!/x", "data:,x",
    "javascript:x",
    "unix:///run/docker.sock", "http+unix://x/", "ws://example.org", "s3://bucket/key", "swift+http://x/y", "rbd://a/b/c/d",
    "cinder://x",
    "http2://example.org", "httpsx://example.org", "-http://example.org", "1http://example.org", "http://example.org/%",
    "http://example.org/%z1",
    "http://example.org/%1", "http://example.org/a b", "http://example.org/a\tb", "http://example.org/\r\nX: y",
    "http://example.org/ü",
    "http://example.org/\\..\\x", "http://example.org/<", "http://example.org/\x7f", "http://example.org/{x}",
    "http://example.org/\ud800",
    "http://example.org/" + "a" * LONGEST_URL, "http://example.org:22/", "http://example.org:8080/", "https://example.org:22/",
    "http://example.org:1/", "http://example.org:65535/",
]  # fmt: skip
REFUSED = WHOLE + [form.format(host) for host in HOSTS for form in ("http://{}/", "https://{}/latest/meta-data?x=1", "http://{}")]


@pytest.mark.parametrize("url", TAKEN)
def test_url_is_read(url: str) -> None:
    target = check_url(url, Rules())
    assert (target.scheme, target.host, target.port, target.path) == TAKEN[url]


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_url_is_refused(url: str) -> None:
    with pytest.raises(problems.UriRefused) as refusal:
        check_url(url, Rules())
    assert refusal.value.sentence().isascii()
    assert "pass" not in refusal.value.sentence().replace("password", "")


def test_every_internal_url_gets_the_same_sentence() -> None:
    """Otherwise the words would map the network."""
    urls = ("http://127.0.0.1/", "http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/", "http://[64:ff9b::7f00:1]/")
    words = set()
    for url in urls:
        with pytest.raises(problems.UriRefused) as refusal:
            check_url(url, Rules())
        words.add(refusal.value.sentence())
    with pytest.raises(problems.UriRefused) as refusal:
        check_url("http://secret.example/", Rules(hosts_denied=("secret.example",)))
    assert words == {refusal.value.sentence()}


@given(st.text(alphabet=string.printable + "①。ü\\@[]:%", max_size=40).map(lambda text: f"http://{text}"))
def test_any_text_is_read_as_the_standard_library_does_or_refused(url: str) -> None:
    try:
        target = check_url(url, Rules())
    except problems.UriRefused:
        return
    parts = urlsplit(url)
    assert (parts.hostname or "").removesuffix(".") == target.host or ip_address(target.host)
    assert (parts.port or 80) == target.port


@given(st.text(max_size=60))
def test_any_location_is_a_target_within_the_rules_or_refused(location: str) -> None:
    source = check_url("https://example.org/a/b?c", Rules())
    try:
        target = check_redirect(source, location, Rules())
    except problems.UriRefused:
        return
    assert target.scheme == "https"
    assert target.port in (80, 443)


@pytest.mark.parametrize(
    ("location", "expected"),
    [("x", "https://example.org/a/x"), ("/x", "https://example.org/x"), ("?y", "https://example.org/a/b?y"), ("../x",
     "https://example.org/x"),
     ("//other.example/x", "https://other.example/x"), ("https://other.example", "https://other.example/"), ("#f",
     "https://example.org/a/b?c")],
)  # fmt: skip
def test_location_may_be_relative(location: str, expected: str) -> None:
    source = check_url("https://example.org/a/b?c", Rules())
    assert check_redirect(source, location, Rules()) == check_url(expected, Rules())


@pytest.mark.parametrize(
    "location",
    ["http://example.org/", "//127.0.0.1/", "//2130706433/", "https://[::1]/", "//[::1", "\\\\127.0.0.1\\", "/\\127.0.0.1",
     "ht\ttps://127.0.0.1/", "https://a@127.0.0.1/", "file:///etc/passwd", "//example.org:22/", "", "x y", "ü"],
)  # fmt: skip
def test_location_is_held_against_the_same_rules(location: str) -> None:
    source = check_url("https://example.org/a", Rules())
    with pytest.raises(problems.UriRefused):
        check_redirect(source, location, Rules())


@pytest.mark.parametrize("location", ["https:127.0.0.1", "///127.0.0.1/", "//", "https://", "127.0.0.1", "a@127.0.0.1"])
def test_location_without_a_host_stays_where_it_is(location: str) -> None:
    source = check_url("https://example.org/a", Rules())
    assert check_redirect(source, location, Rules()).origin == source.origin


def test_ports_count_even_when_the_url_names_none() -> None:
    only_https = Rules(ports=(443, 8443))
    assert check_url("https://example.org/", only_https).port == 443
    assert check_url("http://example.org:8443/", only_https).port == 8443
    for url in ("http://example.org/", "http://example.org:80/"):
        with pytest.raises(problems.UriRefused):
            check_url(url, only_https)


def test_schemes_are_those_allowed() -> None:
    with pytest.raises(problems.UriRefused):
        check_url("http://example.org/", Rules(schemes=("https",)))
    with pytest.raises(problems.UriRefused):  # allowed by mistake, still not known how to be fetched
        check_url("ftp://example.org/", Rules(schemes=("ftp",), ports=(21, 80)))


@pytest.mark.parametrize(
    ("host", "allowed", "denied", "taken"),
    [
        ("a.example", (), (), True),
        ("a.example", ("a.example",), (), True),
        ("A.Example.", ("a.EXAMPLE",), (), True),
        ("b.example", ("a.example",), (), False),
        ("x.a.example", ("a.example",), (), False),
        ("x.a.example", (".a.example",), (), True),
        ("a.example", (".a.example",), (), True),
        ("xa.example", (".a.example",), (), False),
        ("a.example.evil", (".a.example", "a.example"), (), False),
        ("a.example", (), ("a.example",), False),
        ("a.example.", (), ("A.example",), False),
        ("x.a.example", (), (".a.example",), False),
        ("a.example", ("a.example",), ("a.example",), False),
        ("8.8.8.8", ("8.8.8.8",), (), True),
        ("8.8.8.8", (), ("8.8.8.8",), False),
        ("[::ffff:8.8.8.8]", (), ("8.8.8.8",), False),
        ("[2606:4700:0::1]", ("[2606:4700::1]",), (), True),
        ("127.0.0.1", ("127.0.0.1",), (), False),
        ("[::1]", ("::1",), (), False),
    ],
)
def test_hosts_allowed_and_denied(host: str, allowed: tuple[str, ...], denied: tuple[str, ...], taken: bool) -> None:
    rules = Rules(hosts_allowed=allowed, hosts_denied=denied)
    if taken:
        assert isinstance(check_url(f"http://{host}/", rules), Target)
    else:
        with pytest.raises(problems.UriRefused):
            check_url(f"http://{host}/", rules)


def test_allowed_network_opens_literal_addresses() -> None:
    rules = Rules(networks_allowed=(ip_network("10.1.0.0/16"),))
    assert check_url("http://10.1.2.3/", rules).address == ip_address("10.1.2.3")
    with pytest.raises(problems.UriRefused):
        check_url("http://10.2.0.1/", rules)


def test_paths_stay_out_of_representations() -> None:
    """They may hold a signature that lets anybody in."""
    assert "signature" not in repr(check_url("https://example.org/?signature=1", Rules()))
