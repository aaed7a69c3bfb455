"""What a person may do with mail that waits; the admin and the commands call the same functions."""
