"""A node's cache: whole images as sparse plain files on local disk, filled by the downloads that read them."""
