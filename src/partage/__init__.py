"""Partage: an OpenStack image service in which sharing a disk image between projects is safe."""

__version__ = "0.1.0"
