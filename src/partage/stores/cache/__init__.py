"""A node's cache: copies of packs on local disk, and a store that reads through them."""
