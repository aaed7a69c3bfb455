"""The supervisor: all processes of Mailmill in one terminal.

Rule 1: what runs is data (`stack.py`); docker-compose.yml starts the same commands.
Rule 2: one thread, one loop, no Django: nothing here can block on a process or on the terminal.
Rule 3: a process that ends is started again, later and later; only a stop ends the supervisor.
"""
