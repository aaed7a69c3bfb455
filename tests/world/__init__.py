"""The fake MX world: a DNS server and SMTP peers on loopback, one domain per behaviour.

Rule 1: it is one process of its own (`python -m tests.world`); a test or the demo talks to it
through `client.World`.
Rule 2: what a domain does is data (`cast.py`, `behaviour.py`) and can be changed while it runs.
Rule 3: a message counts as accepted the moment its final dot was read and judged, as RFC 5321 6.1
has it, whether or not the sender lives to read the 250.
"""
