"""Fetch certificates from the cloud's key manager (Barbican by default) with `castellan`.

The request is made with the user's token, as in Glance: the key manager decides who may read a secret. Its address comes from
the catalog or from castellan's own configuration file. Castellan has no timeouts, so that each request runs on a thread of its
own, which is abandoned after a while; the number of such threads is bounded.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from partage import problems
from partage.model.signature import Certificate, ImageSignature, require_id
from partage.signatures.verifiers import StreamVerifier

try:
    from castellan import key_manager as key_managers
    from castellan.common import exception as failures
    from castellan.common.credentials.keystone_token import KeystoneToken
    from castellan.common.objects.x_509 import X509
    from castellan.key_manager.barbican_key_manager import BarbicanKeyManager
    from cursive import signature_utils
    from oslo_config import cfg

    IS_POSSIBLE = signature_utils is not None
except ImportError:
    IS_POSSIBLE = False

_AT_ONCE = 8
_LOG = logging.getLogger(__name__)


def barbican(*, auth_url: str, cafile: str) -> Any:
    """Make castellan's client of the Barbican in the catalog. Sends nothing yet; changes no global configuration."""
    options = cfg.ConfigOpts()
    options([], project="partage", default_config_files=[], default_config_dirs=[])
    BarbicanKeyManager(options)  # registers the options, so that they can be set; the next one reads them
    options.set_override("auth_endpoint", auth_url, group="barbican")
    options.set_override("verify_ssl_path", cafile or None, group="barbican")
    return BarbicanKeyManager(options)


def open_key_manager(file: Path) -> Any:
    """Make the key manager that a file with castellan's own sections configures.

    Raises:
        Unavailable: the file cannot be read, or names no key manager.
    """
    options = cfg.ConfigOpts()
    try:
        options([], project="partage", default_config_files=[str(file)], default_config_dirs=[])
        return key_managers.API(options)
    except (cfg.Error, ImportError, ValueError) as error:
        raise problems.Unavailable(f"signatures.castellan_file: {file} describes no key manager: {error}") from error


class KeyManagerSignatures:
    """Verifies signatures with certificates from a key manager. Thread-safe, as castellan's key managers are."""

    def __init__(self, keys: Any, *, auth_url: str, timeout_seconds: float) -> None:
        """Use `keys`, castellan's KeyManager, with tokens of the Keystone at `auth_url`, and this timeout."""
        self._keys = keys
        self._auth_url = auth_url
        self._timeout_seconds = timeout_seconds
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def certificate(self, signature: ImageSignature, token: str, project_id: str | None) -> Certificate:
        """Fetch the certificate that a signature names, as the user of the token.

        Raises:
            SignatureRefused: there is none, or not for this user.
            KeyManagerUnavailable: the key manager does not answer in time.
        """
        require_id(signature)
        context = KeystoneToken(token=token, auth_url=self._auth_url, project_id=project_id, reauthenticate=False)
        name = signature.certificate_id
        try:
            found = self._within_time(lambda: self._keys.get(context, name))
        except failures.ManagedObjectNotFoundError as error:
            raise problems.SignatureRefused(f"There is no certificate {name} in the key manager") from error
        except problems.KeyManagerUnavailable:
            raise
        except Exception as error:  # castellan lets pass what its drivers and their libraries raise
            _LOG.warning("certificate %s: %s: %s", name, type(error).__name__, error)
            raise problems.SignatureRefused(
                f"The certificate {name} could not be had from the key manager; check that your project may read it, "
                "and that openstack catalog show key-manager finds one"
            ) from error
        der = found.get_encoded() if isinstance(found, X509) else None
        if not der:
            raise problems.SignatureRefused(f"What the key manager has under {name} is no certificate")
        return Certificate(name, der)

    def verifier(self, signature: ImageSignature, certificate: Certificate) -> StreamVerifier:
        """Make the verifier of one stream.

        Raises:
            SignatureRefused: the signature can never be verified with this certificate.
        """
        return StreamVerifier(signature, certificate)

    def _within_time(self, ask: Callable[[], Any]) -> Any:
        if not self._places.acquire(timeout=self._timeout_seconds):
            raise _silent()
        answer: list[Any] = []
        failure: list[BaseException] = []

        def work() -> None:
            try:
                answer.append(ask())
            except Exception as error:  # noqa: BLE001 - the waiting thread raises it again
                failure.append(error)
            finally:
                self._places.release()

        # Not of a pool: a process that ends does not wait for a key manager that never answers.
        asking = threading.Thread(target=work, name="key-manager", daemon=True)
        asking.start()
        asking.join(self._timeout_seconds)
        if failure:
            raise failure[0]
        if not answer:
            raise _silent()
        return answer[0]


def _silent() -> problems.KeyManagerUnavailable:
    return problems.KeyManagerUnavailable(
        "The key manager, which has the certificate of the image's signature, does not answer; try again later"
    )
