"""Say why a database cannot be opened, for the operator who starts a process: responses to clients do not say it."""

import re

import sqlalchemy

_POSTGRESQL = (
    ("password authentication failed|no password supplied", "correct the user and the password in database_url"),
    (
        'role ".*" does not exist',
        "create the user on the server: createuser --pwprompt NAME; or correct the user in database_url",
    ),
    (
        'database ".*" does not exist',
        "create it on the server: createdb --owner USER NAME; or correct the database's name in database_url",
    ),
    ("no pg_hba.conf entry|authentication failed", "permit this user and host in the server's pg_hba.conf"),
    ("failed to resolve host|could not translate host name", "correct the host in database_url"),
    ("refused|no such file or directory", "start the server, or correct the host and the port in database_url"),
    ("timeout|timed out|no route|unreachable", "correct the host in database_url, or the firewall between the hosts"),
    ("too many clients|remaining connection slots", "raise max_connections of the server, or lower database_connections"),
    ("starting up|shutting down|recovery mode", "wait until the server has started"),
    ("no space left on device", "free space on the disk of the server"),
    ("certificate|ssl", "correct the certificates, or sslmode in database_url"),
    ("permission denied", "let the user own the database: ALTER DATABASE NAME OWNER TO USER"),
)
_MARIADB = (
    ("access denied for user .* to database|command denied", "permit it on the server: GRANT ALL ON NAME.* TO USER"),
    ("access denied", "correct the user and the password in database_url, or create the user on the server: CREATE USER"),
    ("unknown database", "create it on the server: CREATE DATABASE NAME; or correct the database's name in database_url"),
    ("name or service not known|name resolution", "correct the host in database_url"),
    ("refused|no such file or directory", "start the server, or correct the host and the port in database_url"),
    ("timed out|no route|unreachable", "correct the host in database_url, or the firewall between the hosts"),
    ("too many connections|max_user_connections", "raise max_connections of the server, or lower database_connections"),
    ("wsrep", "wait until the node belongs to its Galera cluster again, or name another node in database_url"),
    ("read-only", "name the primary server in database_url: a replica cannot be changed"),
    ("is full|no space left", "free space on the disk of the server"),
    ("ssl|certificate|insecure transport", "correct the certificates, or ssl_ca in database_url"),
    ("shutdown", "wait until the server has started"),
)
_SQLITE = (
    ("unable to open database file", "create its directory, and let this user write there"),
    ("readonly database", "let this user write to the file and to its directory"),
    ("disk is full", "free space on its disk"),
    ("disk i/o error", "free space on its disk, or look for its errors in the system log"),
    ("locked", "stop the program that holds a lock on it"),
)
_MOST_CHARACTERS = 200


def explain(url: sqlalchemy.URL, error: BaseException | None) -> str:
    """Return one sentence: which database, what the driver says, and what would help. It never has the password."""
    words = _take_words(error)
    if url.get_backend_name() == "sqlite":
        return f"The database file {url.database} cannot be used ({words}); {_find_remedy(_SQLITE, words, 'check the file')}"
    known = _MARIADB if url.get_backend_name() == "mariadb" else _POSTGRESQL
    remedy = _find_remedy(known, words, "correct database_url, or start the server")
    return f"The database {url.database} at {_name_server(url)} cannot be opened by user {url.username} ({words}); {remedy}"


def _take_words(error: BaseException | None) -> str:
    """Return the server's words of an error of the driver, without its preamble, or its number on MariaDB."""
    cause = getattr(error, "orig", error)
    number, *words = getattr(cause, "args", ()) or (None,)
    text = str(words[0] if words and isinstance(number, int) else cause or "no answer")
    line = next(iter(text.splitlines()), "")
    found = re.search(r"(?:FATAL|ERROR):\s*(.+)", line) or re.search(r"(?:connection failed|connection is bad): (.+)", line)
    return (found[1] if found else line).strip()[:_MOST_CHARACTERS]


def _find_remedy(known: tuple[tuple[str, str], ...], words: str, otherwise: str) -> str:
    return next((remedy for pattern, remedy in known if re.search(pattern, words, re.IGNORECASE)), otherwise)


def _name_server(url: sqlalchemy.URL) -> str:
    host = url.query.get("unix_socket") or url.host or url.query.get("host", "the local socket")
    return f"{host}:{url.port}" if url.port else str(host)
