"""What happened, said to the message bus of the cloud in Glance's words. Optional: nothing is said unless the operator wants it."""
