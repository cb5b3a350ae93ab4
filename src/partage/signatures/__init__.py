"""Signatures of images: certificates from the cloud's key manager, and what they say of bytes. Needs the extra `signatures`."""
