"""Handlers of the cache of the node that receives the request, and its JSON."""

from typing import Any

from partage.http.messages import Reply, Request, json_reply
from partage.model.cache import CachedImage, parse_clear_target
from partage.operations import cache


async def show_cache(request: Request) -> Reply:
    """List the images in this node's cache, and those in its queue."""
    state = await request.run(cache.show_cache)
    return json_reply({"cached_images": [_image_to_json(each) for each in state.cached], "queued_images": list(state.queued)})


async def queue_image(request: Request) -> Reply:
    """Queue an image for this node's cache."""
    await request.run(cache.queue_image, request.image_id)
    return Reply()


async def forget_image(request: Request) -> Reply:
    """Remove an image from this node's cache and queue."""
    await request.run(cache.forget_image, request.image_id)
    return Reply()


async def clear_cache(request: Request) -> Reply:
    """Clear this node's cache, its queue, or both, as a header states."""
    await request.run(cache.require_clear)
    target = parse_clear_target(request.header(b"x-image-cache-clear-target") or "")
    await request.run(cache.clear_cache, target)
    return Reply()


async def clean_cache(request: Request) -> Reply:
    """Remove invalid and abandoned files from this node's cache."""
    await request.run(cache.clean_cache)
    return Reply()


async def prune_cache(request: Request) -> Reply:
    """Evict images until this node's cache is below its limit, and report how many."""
    pruned = await request.run(cache.prune_cache)
    return json_reply({"total_files_pruned": pruned.files, "total_bytes_pruned": pruned.size_bytes})


async def list_nodes(request: Request) -> Reply:
    """List the nodes that have an image in their cache."""
    return json_reply(await request.run(cache.list_nodes, request.image_id))


def _image_to_json(image: CachedImage) -> dict[str, Any]:
    """Render a cached image. Times are seconds since 1970 with fractions. Source: Glance, in this answer only."""
    return {
        "image_id": image.image_id,
        "hits": image.hits,
        "last_accessed": image.last_accessed.timestamp(),
        "last_modified": image.last_modified.timestamp(),
        "size": image.size,
        "checksum": image.checksum,
    }
