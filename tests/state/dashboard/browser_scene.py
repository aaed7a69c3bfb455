"""Fills the database of the web server that the browser tests look at: `fill`, then `more`.

A program of its own, because the server runs on a database of its own.
"""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mta.settings")

PASSWORD = "a-long-password"


def fill() -> dict[str, str]:
    """Two tenants with mail, an operator and a marketer of the first; what the pages are called."""
    from mta.mail import ids
    from mta.tenants.models import User
    from tests.cast import make_cast
    from tests.state.dashboard import scene

    names: dict[str, str] = {}
    for tenant in ("acme", "globex"):
        cast = make_cast(tenant, f"{tenant}.test")
        of = scene.message(cast.bulk, subject=f"Letter of {tenant}", tags='["vip"]')
        scene.lane(
            cast.bulk, f"{tenant}-customer.test", last_reply="451 later",
            hold_reason="5 of 5 connections in use",
        )  # fmt: skip
        to = scene.recipient(of, f"anna@{tenant}-customer.test", "deferred", attempts=1)
        scene.attempt(to, "451 4.7.1 greylisted")
        scene.event(to, "deferral")
        names[f"{tenant}_message"] = ids.encode(of.pk)
        names[f"{tenant}_recipient"] = ids.encode(to.pk)
    User.objects.create_user("olga", password=PASSWORD, is_staff=True, role="operator")
    mark = User.objects.create_user("mark", password=PASSWORD, is_staff=True, role="marketer")
    mark.tenants.add(*mark.tenants.model.objects.filter(name="acme"))
    return names


def more() -> dict[str, str]:
    """Four more recipients wait for the first tenant's domain."""
    from mta.spool.models import Message
    from tests.state.dashboard import scene

    of = Message.objects.select_related("stream__tenant").get(subject="Letter of acme")
    for n in range(4):
        scene.recipient(of, f"more{n}@acme-customer.test")
    return {}


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps({"fill": fill, "more": more}[sys.argv[1]]()))
