"""Forms of the admin: what is refused, and with which words."""
