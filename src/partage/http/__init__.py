"""The Image API v2 over HTTP: requests become calls of `operations/`, values become documents. Nothing else speaks HTTP."""
