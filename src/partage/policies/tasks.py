"""Rules on tasks."""

from partage.policies import checks
from partage.policies.checks import documented

TASKS_API_ACCESS = "tasks_api_access"

RULES = [
    documented(TASKS_API_ACCESS, checks.ADMIN, "Use the tasks API, which tells of every project's tasks.", "GET", "/v2/tasks"),
]
