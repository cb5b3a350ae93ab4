"""The parts of `partage up` beside the image service: a data directory and a Keystone."""
