"""Celery moves mail; nothing outside this folder knows Celery."""
