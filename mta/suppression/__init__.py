"""Whom not to write to."""
