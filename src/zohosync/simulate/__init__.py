"""Whole days of trouble in seconds: the production engine in a world made from one seed."""
