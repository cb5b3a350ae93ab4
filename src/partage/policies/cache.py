"""Rules on the cache of a node."""

from oslo_policy import policy

from partage.policies import checks
from partage.policies.checks import document_rule

CACHE_IMAGE = "cache_image"
CACHE_LIST = "cache_list"
CACHE_DELETE = "cache_delete"
CACHE_CLEAN = "cache_clean"
CACHE_PRUNE = "cache_prune"
LIST_CACHED_NODES = "list_cached_nodes"

_ALL = "/v2/cache"
_ONE = _ALL + "/{image_id}"

RULES = [
    policy.RuleDefault(
        "manage_image_cache",
        checks.ADMIN,
        description="The name of an older rule, for policy files that refer to it.",
        scope_types=["project"],
    ),
    document_rule(CACHE_IMAGE, checks.ADMIN, "Queue an image for this node's cache.", "PUT", _ONE),
    document_rule(CACHE_LIST, checks.ADMIN, "List this node's cached images.", "GET", _ALL),
    document_rule(CACHE_DELETE, checks.ADMIN, "Remove an image, or all, from this node's cache.", "DELETE", _ONE),
    document_rule(CACHE_CLEAN, checks.ADMIN, "Remove unusable files from this node's cache.", "POST", _ALL + "/clean"),
    document_rule(CACHE_PRUNE, checks.ADMIN, "Evict images until this node's cache is below its limit.", "POST", _ALL + "/prune"),
    document_rule(LIST_CACHED_NODES, checks.ADMIN, "List the nodes that have an image cached.", "GET", _ALL + "/nodes/{image_id}"),
]
