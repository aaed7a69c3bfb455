"""Pools, sources and warmups in the database."""
