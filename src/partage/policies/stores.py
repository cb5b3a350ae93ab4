"""Rules on stores."""

from partage.policies import checks
from partage.policies.checks import documented

STORES_INFO_DETAIL = "stores_info_detail"

RULES = [
    documented(STORES_INFO_DETAIL, checks.ADMIN_OR_SERVICE, "See how stores are made.", "GET", "/v2/info/stores/detail"),
]
