"""Settings: their sections, loading and validation, and the documented sample."""
