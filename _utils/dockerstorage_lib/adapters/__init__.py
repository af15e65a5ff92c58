"""Adapters: each is the only user of its outside thing, and returns the model's values."""
