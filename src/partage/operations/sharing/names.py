"""Names of projects in a caller's own domain, for shares that it sees. An id that the caller knows is the only way to a name."""

from collections.abc import Iterable, Mapping

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.operations.service import Service


def find_names(service: Service, caller: Caller, project_ids: Iterable[ProjectID | None]) -> Mapping[ProjectID, str]:
    """Return the names that the caller may know: of its own project, and of others in its domain. Waits for Keystone.

    Names are left out while the identity service does not answer, and after as many look-ups as one request may have.
    """
    wanted = {each for each in project_ids if each is not None}
    found: dict[ProjectID, str] = {}
    if caller.project_id in wanted and caller.project_name:
        found[caller.project_id] = caller.project_name
    if service.integrations.recipients is None or not caller.project_domain_id:
        return found
    search = service.integrations.recipients.search(caller.project_id)
    unknown = sorted(wanted - {*found})
    try:
        search.load(caller.project_domain_id, ids=unknown)
        for project_id in unknown:
            project = search.find_in_domain(project_id, caller.project_domain_id)
            if project is not None:
                found[project_id] = project.name
    except (problems.IdentityUnavailable, problems.TooMany):
        pass  # the names of the others stay unknown
    return found
