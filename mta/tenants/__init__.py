"""Who may send: tenants, people, credentials, sending domains, streams."""
