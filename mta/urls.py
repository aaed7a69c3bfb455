"""Which address leads where."""

from django.contrib import admin
from django.urls import include, path, re_path

from dashboard.flower_proxy import flower

urlpatterns = [
    path("admin/", admin.site.urls),
    re_path(r"^flower/", flower, name="flower"),
    path("", include("dashboard.urls")),
    # Served by mta.wsgi without this stack; here so that pages can name its addresses.
    path("", include("mta.api.urls")),
]
