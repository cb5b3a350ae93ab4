"""Handlers of the cache of the node that is asked."""

from typing import Any

from partage.http.messages import Reply, Request, json_reply
from partage.model.cache import CachedImage, parse_clear_target
from partage.operations import cache


async def show_cache(request: Request) -> Reply:
    """Tell what this node has near and what it is to fetch."""
    state = await request.run(cache.show_cache)
    return json_reply({"cached_images": [_image_to_json(each) for each in state.cached], "queued_images": list(state.queued)})


async def queue_image(request: Request) -> Reply:
    """Let this node fetch an image."""
    await request.run(cache.queue_image, request.image_id)
    return Reply()


async def forget_image(request: Request) -> Reply:
    """Let this node neither have nor fetch an image."""
    await request.run(cache.forget_image, request.image_id)
    return Reply()


async def clear_cache(request: Request) -> Reply:
    """Let this node forget everything, or fetch nothing more, or both, as a header says."""
    await request.run(cache.require_clear)
    target = parse_clear_target(request.header(b"x-image-cache-clear-target") or "")
    await request.run(cache.clear_cache, target)
    return Reply()


async def clean_cache(request: Request) -> Reply:
    """Remove what is of no use from this node's cache."""
    await request.run(cache.clean_cache)
    return Reply()


async def prune_cache(request: Request) -> Reply:
    """Bring this node's cache below its limit, and say what that took."""
    pruned = await request.run(cache.prune_cache)
    return json_reply({"total_files_pruned": pruned.files, "total_bytes_pruned": pruned.size_bytes})


async def list_nodes(request: Request) -> Reply:
    """Name the nodes that have an image near."""
    return json_reply(await request.run(cache.list_nodes, request.image_id))


def _image_to_json(image: CachedImage) -> dict[str, Any]:
    """Write an image that is near. Times are seconds since 1970 with fractions, as Glance has them here and nowhere else."""
    return {
        "image_id": image.image_id,
        "hits": image.hits,
        "last_accessed": image.last_accessed.timestamp(),
        "last_modified": image.last_modified.timestamp(),
        "size": image.size,
        "checksum": image.checksum,
    }
