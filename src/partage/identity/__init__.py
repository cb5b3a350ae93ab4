"""The client of Keystone: validates tokens and caches the result for seconds. Fails closed: no response means no access."""
