"""Processes: the supervisor of workers, and what one process asks of the kernel."""
