"""Adaptive throttling against simulated receivers, in simulated time."""
