"""Rules on stores."""

from partage.policies import checks
from partage.policies.checks import document_rule

STORES_INFO_DETAIL = "stores_info_detail"

RULES = [
    document_rule(STORES_INFO_DETAIL, checks.ADMIN_OR_SERVICE, "See the details of stores.", "GET", "/v2/info/stores/detail"),
]
