"""Imports: the request that starts a task, and the run that carries it out."""
