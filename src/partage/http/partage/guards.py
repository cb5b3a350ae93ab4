"""Handlers of the guard: show, switch, reset; and the end of access in spite of it."""

from partage.http.messages import Reply, Request, json_reply
from partage.http.partage import guard_json
from partage.model.guard import Guard
from partage.operations.sharing import guards


async def show_guard(request: Request) -> Reply:
    """Show the guard of an image of the caller's project."""
    return _reply(request, await request.run_reading(guards.show_guard, request.image_id))


async def switch_guard(request: Request) -> Reply:
    """Switch the guard of an image. From block to off it takes the cool-down."""
    mode = guard_json.parse_mode(await request.document())
    return _reply(request, await request.run(guards.switch_guard, request.image_id, mode))


async def reset_guard(request: Request) -> Reply:
    """Go back to the operator's default. From block to off it takes the cool-down."""
    return _reply(request, await request.run(guards.switch_guard, request.image_id, None))


async def end_access(request: Request) -> Reply:
    """End access to an image in spite of its guard: members that use it keep access for the cool-down."""
    wanted = guard_json.parse_end(await request.document())
    # Where quotas are limits of Keystone, it waits for it.
    await request.run_remote(guards.end_access, request.image_id, wanted)
    return Reply()


def _reply(request: Request, guard: Guard) -> Reply:
    service = request.edge.service
    return json_reply(guard_json.guard_to_json(request.image_id, guard, service.clock(), service.sharing.guard_cool_down))
