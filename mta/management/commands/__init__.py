"""Commands for operators, one a file; the work is done below."""
