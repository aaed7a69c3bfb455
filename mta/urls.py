"""Which address leads where."""

from django.contrib import admin
from django.urls import include, path, re_path

from dashboard.flower_proxy import flower

urlpatterns = [
    path("admin/", admin.site.urls),
    re_path(r"^flower/", flower, name="flower"),
    path("", include("dashboard.urls")),
]
