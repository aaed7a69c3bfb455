"""The web process: Django under any WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mta.settings")
application = get_wsgi_application()
