"""Takes over a running Glance: images, members, tags, properties, metadata definitions and tasks; the bytes stay in its stores."""
