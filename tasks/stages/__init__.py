"""The four stages; none imports another."""
