"""Sends the traces of requests and imports to an OpenTelemetry receiver; optional."""
