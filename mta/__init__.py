"""Mailmill, an outbound mail transfer agent."""
