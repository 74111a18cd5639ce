"""Figures, each measured beside its baseline in one run."""
