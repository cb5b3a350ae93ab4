"""Signatures of images: certificates from the cloud's key manager, and verification. Needs the extra `signatures`."""
