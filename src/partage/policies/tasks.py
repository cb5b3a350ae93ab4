"""Rules on tasks."""

from partage.policies import checks
from partage.policies.checks import document_rule

TASKS_API_ACCESS = "tasks_api_access"

RULES = [
    document_rule(TASKS_API_ACCESS, checks.ADMIN, "Use the tasks API, which tells of every project's tasks.", "GET", "/v2/tasks"),
]
