"""Notifications on the cloud's message bus, in Glance's format. Optional: nothing is sent unless the operator configures it."""
