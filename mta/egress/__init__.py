"""How mail leaves: pools, sources, warmup schedules, shaping rules."""
