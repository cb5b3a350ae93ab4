"""The HTTP server below every API: connections, bodies, socket hand-off, timeouts and limits of each client."""
