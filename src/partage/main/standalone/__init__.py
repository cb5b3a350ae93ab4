"""What `partage up` runs beside the image service: a data directory and a Keystone."""
