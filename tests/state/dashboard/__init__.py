"""What people see: admin, pages, roles, health, metrics."""
