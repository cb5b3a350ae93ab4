"""Originals: image data that is still in a store of Glance, read from there and never written."""
