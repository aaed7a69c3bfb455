"""Celery moves mail; nothing outside this folder knows Celery."""

import os

import django
from django.apps import apps

# Celery imports this package before anybody else had a chance to set Django up.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mta.settings")
if not apps.ready:
    django.setup()
