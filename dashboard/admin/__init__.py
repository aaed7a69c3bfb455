"""Django admin of everything the database keeps."""
