"""The way out: which URLs the service opens on a user's behalf, and the only fetcher that does."""
