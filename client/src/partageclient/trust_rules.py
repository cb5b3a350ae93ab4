"""Trust rules: how a project answers offers from another project or domain in advance. Only Partage has them."""

from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from partageclient.connections import Cloud, as_cloud

RULES = ("accept", "ask", "refuse")
_INSTEAD = "`openstack image share accept --from PROJECT` answers all offers of a project that wait"


@dataclass(frozen=True)
class TrustRule:
    """What a project does with offers: `kind` is project or domain, `id` theirs, `rule` accept, ask or refuse."""

    kind: str
    id: str
    rule: str
    created_at: str | None = None
    updated_at: str | None = None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "TrustRule":
        """Read a rule of the sharing API."""
        return cls(**{each: document.get(each) for each in ("kind", "id", "rule", "created_at", "updated_at")})  # type: ignore[arg-type]


def set_rule(conn: Connection | Cloud, rule: str, *, project_id: str | None = None, domain_id: str | None = None) -> TrustRule:
    """Set the rule for a project or a domain; it applies to offers that are made from now on.

    Raises:
        Unsupported: the image service has no trust rules.
        ClientError: it refuses: there is no such project, or the project has too many rules.
    """
    cloud, asked = as_cloud(conn), f"Set the trust rule {rule} for {project_id or domain_id}"
    cloud.features.require("trust", asked, _INSTEAD)
    return TrustRule.from_json(cloud.request("PUT", _path(project_id, domain_id), body={"rule": rule}, asked=asked).document)


def unset_rule(conn: Connection | Cloud, *, project_id: str | None = None, domain_id: str | None = None) -> None:
    """Remove the rule for a project or a domain.

    Raises:
        Unsupported: the image service has no trust rules.
        NotFound: there is no such rule.
    """
    cloud, asked = as_cloud(conn), f"Remove the trust rule for {project_id or domain_id}"
    cloud.features.require("trust", asked, _INSTEAD)
    cloud.request("DELETE", _path(project_id, domain_id), asked=asked)


def list_rules(conn: Connection | Cloud) -> list[TrustRule]:
    """List the project's rules, those for projects first.

    Raises:
        Unsupported: the image service has no trust rules.
    """
    cloud, asked = as_cloud(conn), "List the trust rules"
    cloud.features.require("trust", asked, _INSTEAD)
    return [TrustRule.from_json(each) for each in cloud.request("GET", "/partage/v1/trust", asked=asked).document["rules"]]


def _path(project_id: str | None, domain_id: str | None) -> str:
    return f"/partage/v1/trust/projects/{project_id}" if project_id else f"/partage/v1/trust/domains/{domain_id}"
