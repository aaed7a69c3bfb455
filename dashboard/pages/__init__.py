"""Pages outside the admin: front, queues, messages, recipients, search."""
