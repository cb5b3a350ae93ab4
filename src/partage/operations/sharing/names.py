"""Names of projects in a caller's own domain, for shares that it sees. An id that the caller knows is the only way to a name."""

from collections.abc import Iterable, Mapping

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.operations.service import Service

_MOST_REQUESTS = 50
"""Projects that one list asks the identity service for; the names of the others stay unknown."""


def find_names(service: Service, caller: Caller, project_ids: Iterable[ProjectID | None]) -> Mapping[ProjectID, str]:
    """Return the names that the caller may know: of its own project, and of others in its domain. Waits for Keystone.

    Names are left out while the identity service does not answer.
    """
    wanted = {each for each in project_ids if each is not None}
    found: dict[ProjectID, str] = {}
    if caller.project_id in wanted and caller.project_name:
        found[caller.project_id] = caller.project_name
    if service.integrations.recipients is None or not caller.project_domain_id:
        return found
    for project_id in sorted(wanted - {*found})[:_MOST_REQUESTS]:
        try:
            project = service.integrations.recipients.find(project_id)
        except problems.IdentityUnavailable:
            break
        if project is not None and project.domain_id == caller.project_domain_id:
            found[project_id] = project.name
    return found
