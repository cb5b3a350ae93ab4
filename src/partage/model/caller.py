"""On whose behalf an operation runs."""

from dataclasses import dataclass

from partage.model.ids import ProjectID, UserID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What the identity service says of a token's bearer.

    Built by `identity/`, but for `ANONYMOUS`: nothing a client sends ends up here unchecked.
    `is_admin` is the answer of the policy rule `context_is_admin`, asked once for each token.
    `service_roles` come from a second, service token (`X-Service-Token`); they never widen `roles`.
    """

    user_id: UserID
    project_id: ProjectID | None
    roles: frozenset[str]
    user_name: str = ""
    project_name: str = ""
    user_domain_id: str = ""
    project_domain_id: str = ""
    service_roles: frozenset[str] = frozenset()
    system_scope: str | None = None
    domain_id: str | None = None
    is_admin: bool = False
    is_anonymous: bool = False


ANONYMOUS = Caller(user_id=UserID(""), project_id=None, roles=frozenset(), is_anonymous=True)
"""Somebody without a token, where the operator lets such callers read. They may know of public images only."""
