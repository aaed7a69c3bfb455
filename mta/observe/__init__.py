"""Log and metrics, for every floor."""
