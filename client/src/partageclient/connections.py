"""Connections to clouds: the one that a command was given, and those of other profiles of clouds.yaml; and requests to services.

All requests of this package go through `Cloud.request`, which translates every failure into an error of `errors.py`.
"""

import json
import shlex
import threading
from collections.abc import Collection, Mapping
from typing import Any

import openstack
from keystoneauth1 import exceptions as refusals
from openstack import exceptions as sdk_errors
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from partageclient import endpoint, errors

Document = dict[str, Any]
TIMEOUT_SECONDS = 60.0
"""How long one request may wait for an answer, where clouds.yaml does not say (`api_timeout`)."""

_NO_PROFILES = frozenset(("envvars", "defaults"))  # how openstacksdk calls what OS_AUTH_URL and options say
_REPEATED = {"connect_retries": 2, "status_code_retries": 2, "retriable_status_codes": [500, 502, 503, 504]}
"""Sent again after 0.5 and 1 s. Databases of a real Glance give up on concurrent changes ("database is locked", deadlocks): 500."""
_SUCCESS = range(200, 300)
_BY_STATUS: Mapping[int, type[errors.ClientError]] = {
    400: errors.Invalid,
    401: errors.NotSignedIn,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.Overloaded,
    429: errors.Overloaded,
    503: errors.Overloaded,
}
_REMEDIES: Mapping[int, str] = {
    401: "The token has expired or was revoked: sign in again. Profiles with a password or an application credential renew it",
    413: "A limit of the service or a quota is reached",
    429: "Wait a while, and run it again",
    503: "Wait a while, and run it again: what is done is not done twice",
}


class Response:
    """A response of a service: its status, headers and JSON document (None if it has none)."""

    def __init__(self, status: int, headers: Mapping[str, str], document: Any) -> None:
        self.status, self.headers, self.document = status, headers, document


class Cloud:
    """A connection of openstacksdk with what is known of it. `name` is the profile's, or what a person calls it.

    `has_region`: the region is another one than that of the profile, so that commands have to name it.
    """

    def __init__(self, connection: Connection, name: str = "", *, has_region: bool = False) -> None:
        self.connection, self.has_region = connection, has_region
        found = str(getattr(connection.config, "name", "") or "")
        self.name = name or (found if found not in _NO_PROFILES else "")
        self._lock = threading.Lock()
        self._features: endpoint.Features | None = None
        self._project_id: str | None = None

    @property
    def project_id(self) -> str:
        """The id of the project that the connection is for.

        Raises:
            NotSignedIn, Unreachable: the identity service does not give a token.
            Invalid: the token is for no project.
        """
        with self._lock:
            if self._project_id is None:
                asked = f"Sign in{self._in_words()}"
                try:
                    found = self.connection.session.get_project_id()
                except Exception as error:
                    raise translate(error, asked) from error
                if not found:
                    raise errors.Invalid(asked, "the token is for no project", "Name a project in the profile (project_name)")
                self._project_id = str(found)
            return self._project_id

    @property
    def features(self) -> endpoint.Features:
        """What the image endpoint has beside the Image API. It is asked once.

        Raises:
            ClientError: the endpoint does not answer.
        """
        with self._lock:
            if self._features is None:
                response = self.request("GET", "/partage", asked="Ask the image service for its features", also=endpoint.ABSENT)
                self._features = endpoint.read_features(response.status, response.document)
            return self._features

    @property
    def image_url(self) -> str:
        """The address of the image service, without the version and without a slash at the end.

        Raises:
            NotSignedIn, Unreachable: the identity service does not give a catalog.
            NotFound: the catalog has no image service for the region and the interface.
        """
        asked = f"Find the image service{self._in_words()}"
        config = self.connection.config
        try:
            found = config.get_endpoint("image") or self.connection.session.get_endpoint(
                service_type="image",
                interface=config.get_interface("image"),
                region_name=config.get_region_name("image"),
                skip_discovery=True,  # the version is known, and gateways do not always serve the list of versions
            )
        except Exception as error:
            raise translate(self._find_cause(error), asked) from error
        if not found:
            region = config.get_region_name("image") or "any region"
            raise errors.NotFound(
                asked,
                f"the catalog has none for {region}",
                "Compare --os-region-name and --os-interface with `openstack catalog list`",
            )
        return endpoint.strip_version(str(found))

    def request(
        self,
        method: str,
        path: str,
        *,
        asked: str,
        body: object = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        also: Collection[int] = (),
        service: str = "image",
        repeat: bool | None = None,
    ) -> Response:
        """Send a request to a service, and return its response if its status is 2xx or one of `also`.

        `service` is a proxy of openstacksdk. `path` of the image service begins with /v2 or /partage, or is an address that the
        service gave; that of another service follows the address in the catalog. `asked` says in words what the request is for.
        `repeat`: a failure of the service or the connection may be answered by sending the request again, twice at most, because it
        does the same when it is carried out twice. A GET does.

        Raises:
            ClientError: one of errors.py, by what stood in the way.
        """
        is_whole = service != "image" or path.startswith(("http://", "https://"))
        url = path if is_whole else f"{self.image_url}{path}"
        sent: dict[str, Any] = {"headers": {"Accept": "application/json", **(headers or {})}, "raise_exc": False}
        if query:
            sent["params"] = dict(query)
        if body is not None:
            sent["json"] = body
        if repeat or (repeat is None and method == "GET"):
            sent |= _REPEATED
        if self.connection.session.timeout is None:
            sent["timeout"] = TIMEOUT_SECONDS
        try:
            sender = self.connection.session if service == "image" else getattr(self.connection, service)
            answer = sender.request(url, method, **sent)
        except Exception as error:
            raise translate(error, asked) from error
        document = read_document(answer)
        if answer.status_code not in _SUCCESS and answer.status_code not in also:
            raise error_of_status(answer.status_code, document, asked)
        return Response(answer.status_code, answer.headers, document)

    def write_command(self, words: str) -> str:
        """Write a command of `openstack` for this cloud, as it can be typed."""
        region = self.connection.config.get_region_name("image") if self.has_region else None
        options = [
            f"{option} {shlex.quote(value)}" for option, value in (("--os-cloud", self.name), ("--os-region-name", region)) if value
        ]
        return " ".join(("openstack", *options, words))

    def _find_cause(self, error: Exception) -> Exception:
        """Return why an image endpoint that the profile names does not answer: openstacksdk hides it."""
        url = self.connection.config.get_endpoint("image")
        if not url or isinstance(error, errors.ClientError):
            return error
        try:
            self.connection.session.get(url, raise_exc=False, timeout=TIMEOUT_SECONDS)
        except Exception as cause:  # noqa: BLE001 - whatever it is, the caller translates it
            return cause
        return error

    def _in_words(self) -> str:
        return f" to {self.name}" if self.name else ""


def as_cloud(conn: Connection | Cloud) -> Cloud:
    """Return the cloud of a connection: what every public function makes of its first argument."""
    return conn if isinstance(conn, Cloud) else Cloud(conn)


def connect(profile: str, region: str | None = None) -> Cloud:
    """Connect to the cloud of a profile of clouds.yaml, in its own region or another one. It signs in with the first request.

    Raises:
        NotFound: there is no such profile.
        Invalid: the profile cannot be read, or does not have the region.
    """
    asked = f"Use the profile {profile} of clouds.yaml" + (f" in the region {region}" if region else "")
    if profile not in list_profiles():
        known = ", ".join(list_profiles()) or "none"
        raise errors.NotFound(asked, "there is no such profile", f"Known profiles: {known}")
    try:
        named: dict[str, Any] = {"region_name": region} if region else {}
        return Cloud(openstack.connect(cloud=profile, **named), profile, has_region=bool(region))
    except sdk_errors.ConfigException as error:
        raise errors.Invalid(asked, str(error)) from error


def list_profiles() -> list[str]:
    """List the names of the profiles of clouds.yaml."""
    names = {str(each) for each in OpenStackConfig().get_cloud_names()}
    return sorted(names - _NO_PROFILES)


def error_of_status(status: int, document: Any, asked: str) -> errors.ClientError:
    """Translate a response that reports a failure: a problem document of the sharing API, or Glance's message."""
    kind = _BY_STATUS.get(status, errors.Unexpected)
    text = document if isinstance(document, str) else ""
    if isinstance(document, dict):
        text = str(document.get("detail") or document.get("message") or document.get("title") or "")
    obstacle = endpoint.strip_markup(text)[:500] or f"the service answered {status}"
    return kind(asked, obstacle, _REMEDIES.get(status, ""))


def translate(error: Exception, asked: str) -> errors.ClientError:
    """Translate what openstacksdk and keystoneauth raise."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, errors.ClientError):
        return error
    if isinstance(error, refusals.SSLError):
        return errors.Unreachable(
            asked,
            f"the certificate is not trusted ({text})",
            "For a private CA, name its file: --os-cacert, or cacert in clouds.yaml",
        )
    if isinstance(error, refusals.ConnectionError):
        return errors.Unreachable(
            asked, f"no answer ({text})", "Run it again when the endpoint answers: what is done is not done twice"
        )
    if isinstance(error, refusals.EndpointNotFound | refusals.EmptyCatalog):
        return errors.NotFound(
            asked,
            "the catalog has no such service for this region and interface",
            "Compare --os-region-name and --os-interface with `openstack catalog list`",
        )
    if isinstance(error, refusals.Unauthorized | refusals.AuthorizationFailure | refusals.AuthPluginException):
        return errors.NotSignedIn(asked, f"the identity service refuses the credentials ({text})", _REMEDIES[401])
    return errors.Unexpected(asked, f"{type(error).__name__}: {text}")


def read_document(answer: Any) -> Any:
    """Read JSON; return the text of what is none."""
    if not answer.content:
        return None
    try:
        return json.loads(answer.content)
    except ValueError:
        return str(answer.text)
