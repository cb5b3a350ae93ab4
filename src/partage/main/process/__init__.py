"""Processes: the supervisor of workers, and requests to the kernel for one process."""
