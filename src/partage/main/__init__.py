"""Composition roots: the only place that reads configuration, opens sockets and starts processes."""
