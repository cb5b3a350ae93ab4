"""The sharing API: what Partage adds to the Image API, below `/partage/v1`."""
