"""The looks of dashboard.display for templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest

from dashboard import display
from mta.mail import ids

register = template.Library()

register.filter("span", display.span)
register.filter("instant", display.instant)
register.filter("label", display.label)
register.filter("message_link", display.message_link)
register.filter("recipient_link", display.recipient_link)
register.filter("clipped", display.clipped)
register.filter("json", display.pretty_json)


@register.filter
def age(at: Any) -> Any:
    """How long ago, without the word 'ago'."""
    return display.instant(at, age=True)


@register.filter
def name(number: int) -> str:
    """The name of an id."""
    return ids.encode(number)


@register.filter
def number(value: int) -> str:
    """1,234,567."""
    return f"{value:,}"


@register.filter
def share(value: int, most: int) -> int:
    """`value` in percent of `most`, at least 1 when there is any."""
    return max(1, round(100 * value / most)) if value and most else 0


@register.simple_tag
def query(request: HttpRequest, **changes: Any) -> str:
    """The page's query string with some values changed; an empty value is left out."""
    values = request.GET.copy()
    values.pop("part", None)
    for key, value in changes.items():
        values[key] = str(value)
    for key in [key for key, value in values.items() if value == ""]:
        del values[key]
    return values.urlencode()
