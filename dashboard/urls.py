"""Addresses of the pages outside the admin."""

from django.urls import path

from dashboard import health, metrics
from dashboard.pages import control, front, messages, queues, routing, search, throttles, warmup

app_name = "dashboard"

urlpatterns = [
    path("", front.front, name="front"),
    path("favicon.ico", front.favicon),
    path("search/", search.search, name="search"),
    path("queues/", queues.queues, name="queues"),
    path("queues/<str:domain>/", queues.queue, name="queue"),
    path("routing/", routing.routing, name="routing"),
    path("throttles/", throttles.throttles, name="throttles"),
    path("warmup/", warmup.warmup, name="warmup"),
    path("warmup/simulate/", warmup.simulator, name="simulate"),
    path("control/", control.control, name="control"),
    path("messages/<str:name>/", messages.message, name="message"),
    path("recipients/<str:name>/", messages.recipient, name="recipient"),
    path("metrics", metrics.metrics, name="metrics"),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
]
