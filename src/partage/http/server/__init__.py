"""The HTTP server below every API: connections, bodies, sockets handed to threads, limits on what one client holds."""
