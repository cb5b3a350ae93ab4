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
        description="The name of an older rule, so that rules of the operator's that refer to it keep working.",
        scope_types=["project"],
    ),
    document_rule(CACHE_IMAGE, checks.ADMIN, "Let this node fetch an image.", "PUT", _ONE),
    document_rule(CACHE_LIST, checks.ADMIN, "See which images this node has near.", "GET", _ALL),
    document_rule(CACHE_DELETE, checks.ADMIN, "Let this node forget an image, or all.", "DELETE", _ONE),
    document_rule(CACHE_CLEAN, checks.ADMIN, "Remove what is of no use from this node's cache.", "POST", _ALL + "/clean"),
    document_rule(CACHE_PRUNE, checks.ADMIN, "Bring this node's cache below its limit.", "POST", _ALL + "/prune"),
    document_rule(LIST_CACHED_NODES, checks.ADMIN, "Learn which nodes have an image near.", "GET", _ALL + "/nodes/{image_id}"),
]
