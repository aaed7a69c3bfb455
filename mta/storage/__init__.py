"""What the models share: hot columns, encrypted columns, bulk SQL for both databases."""
