"""The demo: the whole system against the fake world, and a table of what became of each message.

Rule 1: nothing is faked on our side: `manage.py up`, the HTTP API, SMTP with STARTTLS and AUTH.
Rule 2: what each receiver must lead to is read from tests/world/cast.py, never written twice.
"""
