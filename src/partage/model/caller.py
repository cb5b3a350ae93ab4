"""The caller of an operation."""

from dataclasses import dataclass, field

from partage.model.ids import ProjectID, UserID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The identity of a token, as Keystone validated it.

    Only `identity/` creates callers, except `ANONYMOUS`: no unvalidated value of a client is used.
    `is_admin` is the decision of the policy rule `context_is_admin`, made once for each token.
    `service_roles` are those of a second token, the service token (`X-Service-Token`); they are never added to `roles`.
    `request_id` names the request, for its events. It is not compared: decisions on the same caller are cached.
    """

    user_id: UserID
    project_id: ProjectID | None
    roles: frozenset[str]
    user_name: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    service_roles: frozenset[str] = frozenset()
    system_scope: str | None = None
    domain_id: str | None = None
    is_admin: bool = False
    is_anonymous: bool = False
    request_id: str = field(default="", compare=False)


ANONYMOUS = Caller(user_id=UserID(""), project_id=None, roles=frozenset(), is_anonymous=True)
"""A caller without a token, where the operator permits that. It sees public images only."""
