"""What Redis keeps: rates, leases, counters and nudges, in Lua beside its Python."""
