"""The Keystone edge: who is behind a token. Cached for seconds, closed when in doubt."""
