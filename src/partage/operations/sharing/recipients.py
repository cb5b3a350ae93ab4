"""Find the projects that a request names, before its transaction, which must not wait for the identity service.

The identity service takes a tenth of a second for a look-up, and a request can name a thousand projects: the search has a bound.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.model.offer import NamesResolved
from partage.operations.service import RecipientSearch, Service

_LIKE_AN_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+", re.ASCII)
"""Ids that Keystone gives projects, and gave them in its first releases."""


def resolve(service: Service, caller: Caller, named: Iterable[str]) -> Mapping[str, ProjectID | problems.RecipientNotFound]:
    """Find the project that each text names: by its id, by its name in the caller's domain, or by `domain/name`.

    Text that looks like an id is an id first. Other text is a name first, so that many names need one look-up. A name that the
    caller may not resolve gets the answer of a name that no project has.

    Raises:
        TooMany: the projects need more look-ups than a request may have.
        IdentityUnavailable: the identity service does not answer, or not fast enough.
    """
    texts = list(dict.fromkeys(named))
    recipients = service.integrations.recipients
    if recipients is None:
        return {text: ProjectID(text) for text in texts}
    resolver = _Resolver(recipients.search(caller.project_id), service.sharing.names_resolved, caller)
    resolver.load(texts)
    return {text: resolver.find(text) or _refuse(text) for text in texts}


@dataclass(frozen=True, slots=True)
class _Resolver:
    search: RecipientSearch
    resolved: NamesResolved
    caller: Caller

    def load(self, texts: Iterable[str]) -> None:
        """Look for the projects of each domain together."""
        names: dict[str, list[str]] = {self.caller.project_domain_id: []}
        ids = []
        for text in texts:
            domain_id, name = self._split(text)
            if domain_id:
                names.setdefault(domain_id, []).append(name)
            if "/" not in text and (not domain_id or _LIKE_AN_ID.fullmatch(text)):
                ids.append(ProjectID(text))
        for domain_id, named in names.items():
            own = ids if domain_id == self.caller.project_domain_id else []
            if domain_id:
                self.search.load(domain_id, ids=own, names=named)

    def find(self, text: str) -> ProjectID | None:
        """Return the id of the project that the text names."""
        domain_id, name = self._split(text)
        if _LIKE_AN_ID.fullmatch(text) or not domain_id:
            return self._find_by_id(text) or self._find_by_name(domain_id, name)
        return self._find_by_name(domain_id, name) or self._find_by_id(text)

    def _find_by_id(self, text: str) -> ProjectID | None:
        found = self.search.find(ProjectID(text))
        return None if found is None else found.id

    def _find_by_name(self, domain_id: str | None, name: str) -> ProjectID | None:
        found = self.search.find_by_name(name, domain_id) if domain_id else None
        return None if found is None else found.id

    def _split(self, text: str) -> tuple[str | None, str]:
        """Split a name into the id of its domain and the rest; without a domain if the caller may not resolve the name."""
        domain, slash, name = text.rpartition("/")
        if self.resolved is NamesResolved.NONE or not name or (slash and not domain):
            return None, name
        domain_id = self.search.find_domain(domain) if domain else self.caller.project_domain_id
        is_resolved = domain_id == self.caller.project_domain_id or self.resolved is NamesResolved.ALL
        return (domain_id if is_resolved else None), name


def _refuse(text: str) -> problems.RecipientNotFound:
    return problems.RecipientNotFound(
        f"There is no project {text[:64]!r} that this service can find: name a project by its id, which its own users see with "
        "openstack token issue, or by its name"
    )
