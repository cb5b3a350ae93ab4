"""Composition: build a service and its application from the settings."""
