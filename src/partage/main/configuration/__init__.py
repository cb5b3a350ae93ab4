"""Settings: their sections, how they are read, and their documented sample."""
