"""People look: admin, pages, actions, queries, metrics."""
