"""Composition: settings in, a service and its application out."""
