"""Handlers of the cache of the node that is asked."""

from typing import Any

from partage.http import json_documents
from partage.http.messages import Reply, Request
from partage.model.cache import CachedImage, parse_clear_target
from partage.model.ids import ImageID
from partage.operations import cache


async def show(request: Request) -> Reply:
    """Tell what this node has near and what it is to fetch."""
    edge = request.edge
    state = await edge.threads.call(cache.show_cache, edge.service, request.caller)
    return json_documents.reply(
        {"cached_images": [_cached_to_wire(each) for each in state.cached], "queued_images": list(state.queued)}
    )


async def queue(request: Request) -> Reply:
    """Let this node fetch an image."""
    edge = request.edge
    await edge.threads.call(cache.queue_image, edge.service, request.caller, ImageID(request.path["image_id"]))
    return Reply()


async def forget(request: Request) -> Reply:
    """Let this node neither have nor fetch an image."""
    edge = request.edge
    await edge.threads.call(cache.forget_image, edge.service, request.caller, ImageID(request.path["image_id"]))
    return Reply()


async def clear(request: Request) -> Reply:
    """Let this node forget everything, or fetch nothing more, or both, as a header says."""
    edge = request.edge
    await edge.threads.call(cache.require_clear, edge.service, request.caller)
    target = parse_clear_target(request.header(b"x-image-cache-clear-target") or "")
    await edge.threads.call(cache.clear_cache, edge.service, request.caller, target)
    return Reply()


async def clean(request: Request) -> Reply:
    """Remove what is of no use from this node's cache."""
    edge = request.edge
    await edge.threads.call(cache.clean_cache, edge.service, request.caller)
    return Reply()


async def prune(request: Request) -> Reply:
    """Bring this node's cache below its limit, and say what that took."""
    edge = request.edge
    pruned = await edge.threads.call(cache.prune_cache, edge.service, request.caller)
    return json_documents.reply({"total_files_pruned": pruned.files, "total_bytes_pruned": pruned.size_bytes})


async def nodes(request: Request) -> Reply:
    """Name the nodes that have an image near."""
    edge = request.edge
    return json_documents.reply(
        await edge.threads.call(cache.nodes_of, edge.service, request.caller, ImageID(request.path["image_id"]))
    )


def _cached_to_wire(image: CachedImage) -> dict[str, Any]:
    """Write an image that is near. Times are seconds since 1970 with fractions, as Glance has them here and nowhere else."""
    return {
        "image_id": image.image_id,
        "hits": image.hits,
        "last_accessed": image.last_accessed.timestamp(),
        "last_modified": image.last_modified.timestamp(),
        "size": image.size,
        "checksum": image.checksum,
    }
