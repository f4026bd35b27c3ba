"""Expectations: demands as data, one folder per model."""
