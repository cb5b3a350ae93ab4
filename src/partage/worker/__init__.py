"""Takes up tasks and does them. Knows no HTTP."""
