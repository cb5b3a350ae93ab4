"""The Image API v2: routes, handlers, and the JSON of each noun."""
