"""Find the projects that a request names, before its transaction, which must not wait for the identity service."""

from collections.abc import Iterable, Mapping

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.model.offer import NamesResolved
from partage.operations.service import Recipients, Service


def resolve(service: Service, caller: Caller, named: Iterable[str]) -> Mapping[str, ProjectID | problems.RecipientNotFound]:
    """Find the project that each text names: by its id, by its name in the caller's domain, or by `domain/name`.

    A name that the caller may not resolve gets the answer of a name that no project has.

    Raises:
        IdentityUnavailable: the identity service does not answer.
    """
    return {text: _resolve(service, caller, text) for text in dict.fromkeys(named)}


def _resolve(service: Service, caller: Caller, text: str) -> ProjectID | problems.RecipientNotFound:
    recipients = service.integrations.recipients
    if recipients is None:
        return ProjectID(text)
    found = recipients.find(ProjectID(text))
    if found is None:
        found_id = _find_by_name(recipients, service.sharing.names_resolved, caller, text)
        return found_id or problems.RecipientNotFound(
            f"There is no project {text[:64]!r} that this service can find: name a project by its id, which its own users see with "
            "openstack token issue, or by its name"
        )
    return found.id


def _find_by_name(recipients: Recipients, resolved: NamesResolved, caller: Caller, text: str) -> ProjectID | None:
    domain, slash, name = text.rpartition("/")
    if resolved is NamesResolved.NONE or not name or (slash and not domain):
        return None
    domain_id: str | None = caller.project_domain_id
    if domain:
        domain_id = recipients.find_domain(domain)
    if not domain_id or (domain_id != caller.project_domain_id and resolved is not NamesResolved.ALL):
        return None
    found = recipients.find_by_name(name, domain_id)
    return None if found is None else found.id
