"""Manifests of many entries for the tests of segments."""

from collections.abc import Iterable

from partage.content.manifest import Assembly, ManifestEntry, Segment


def assemble(entries: Iterable[ManifestEntry]) -> list[Segment]:
    """Encode entries into segments, as the writer does."""
    assembly = Assembly()
    segments = [segment for entry in entries for segment in assembly.add(entry)]
    return [*segments, *assembly.finish()]
