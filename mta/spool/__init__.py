"""What we owe the world: inject is the only door in, settle the only door out."""
