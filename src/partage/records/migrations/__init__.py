"""The schema's history: one dated file for each change, each saying whether it can run while old code serves."""
