"""Rules on tasks."""

from partage.policies import checks
from partage.policies.checks import document_rule

TASKS_API_ACCESS = "tasks_api_access"

RULES = [
    document_rule(TASKS_API_ACCESS, checks.ADMIN, "Use the tasks API, which shows the tasks of every project.", "GET", "/v2/tasks"),
]
