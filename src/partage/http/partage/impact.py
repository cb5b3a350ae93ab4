"""Handlers of impact: what ending access to an image would do."""

from partage.http.messages import Reply, Request, json_reply
from partage.http.partage import impact_json
from partage.operations.sharing import impact, names


async def show_impact(request: Request) -> Reply:
    """Show what an action on an image of the caller's project would do now."""
    action, project_id = impact_json.parse_query(request.query)
    # In the threads of lists: it reads the manifests of other images.
    found = await request.run_listing(impact.show_impact, request.image_id, action, project_id)
    known = await request.run_remote(names.find_names, [each.project_id for each in found.projects])
    return json_reply(impact_json.impact_to_json(found, known))
