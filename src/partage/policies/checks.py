"""The check strings of which rules consist, each with its meaning.

They are Glance 33's defaults with scope enforcement and secure defaults. The target of a check is an image:
`project_id` and `owner` are its owner, `visibility` its visibility, `member_id` the project of the membership (`authority.py`).
"""

from oslo_policy import policy

CONTEXT_IS_ADMIN = "context_is_admin"
SERVICE_API = "service_api"

ADMIN = f"rule:{CONTEXT_IS_ADMIN}"
"""The caller is an administrator of the cloud."""

OWNER_MEMBER = "role:member and project_id:%(project_id)s"
"""The caller has the role member in the project that owns the image."""

OWNER_READER = "role:reader and project_id:%(project_id)s"
"""The caller has at least the role reader in the project that owns the image."""

IN_REACH = (
    "(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s "
    "or 'shared':%(visibility)s)"
)
"""The image is the caller's own, or others may see it.

This relies on the query: 'shared' passes for every project here, because `records/visibility.py` finds a shared image only for its
members.
"""

METADEF_ADMIN = "metadef_admin"
ADMIN_OR_READER_OF_NAMESPACE = f"{ADMIN} or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
ADMIN_OR_OWNER_MEMBER = f"{ADMIN} or ({OWNER_MEMBER})"
ADMIN_OR_OWNER_READER = f"{ADMIN} or ({OWNER_READER})"
ADMIN_OR_CREATOR = f"{ADMIN} or ({OWNER_MEMBER} and project_id:%(owner)s)"
ADMIN_OR_READER_IN_REACH = f"{ADMIN} or (role:reader and {IN_REACH})"
ADMIN_OR_MEMBER_IN_REACH = f"{ADMIN} or (role:member and {IN_REACH})"
ADMIN_OR_IMAGE_MEMBER = f"{ADMIN} or (role:member and project_id:%(member_id)s)"
ADMIN_OR_READER_OF_MEMBERS = f"{ADMIN} or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"
SERVICE = f"rule:{SERVICE_API}"
SERVICE_OR_CREATOR = f"{SERVICE} or ({OWNER_MEMBER} and project_id:%(owner)s)"
ADMIN_OR_SERVICE = f"{ADMIN} or rule:{SERVICE_API}"

ROLES = [
    policy.RuleDefault("default", "", description="The rule for undefined names."),
    policy.RuleDefault(CONTEXT_IS_ADMIN, "role:admin", description="The caller is an administrator of the cloud."),
    policy.RuleDefault(METADEF_ADMIN, ADMIN, description="The caller may change metadata definitions."),
    policy.RuleDefault(SERVICE_API, "role:service or role:admin", description="The caller is another service of the cloud."),
]


def document_rule(name: str, check: str, description: str, method: str, path: str) -> policy.DocumentedRuleDefault:
    """Define a rule for one route and project-scoped tokens, as Glance does."""
    return policy.DocumentedRuleDefault(
        name,
        check,
        description,
        [{"method": method, "path": path}],
        scope_types=["project"],
    )
