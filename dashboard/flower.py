"""Flower's configuration file: it takes the names below that are options of its own.

Flower asks for a password that only the dashboard knows, so that the one way to it is /flower/ with
a staff session: whoever else can reach its port (a user of this host, a neighbour in a container
network) is turned away.
"""

from django.conf import settings
from django.utils.crypto import salted_hmac

address, port = settings.MAILMILL.flower_bind
url_prefix = "flower"
basic_auth = [
    "dashboard:" + salted_hmac("mailmill.flower", "password", algorithm="sha256").hexdigest()
]
# Workers send the events that tasks/app.py asks for; Flower must not switch more of them on.
enable_events = False
max_tasks = 1000
# A worker that was replaced leaves the list after an hour.
purge_offline_workers = 3600
