"""Decisions: pure functions of values and now."""
