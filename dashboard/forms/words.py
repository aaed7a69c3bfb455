"""Fields that several forms share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from mta.mail.address import AddressError, normalise_domain

if TYPE_CHECKING:  # takes type arguments in the stubs only
    RowForm = forms.ModelForm[Any]
else:
    RowForm = forms.ModelForm


class WordsField(forms.MultipleChoiceField):
    """A JSON list of known words, as check boxes."""

    def __init__(self, words: Iterable[str], **kwargs: Any) -> None:
        kwargs.setdefault("choices", [(word, word.replace("_", " ")) for word in words])
        kwargs.setdefault("widget", UnfoldAdminCheckboxSelectMultipleWidget())
        super().__init__(**kwargs)


def domain_of(text: str, field: str) -> str:
    """The A-label of what a person typed; ValidationError names field and reason."""
    try:
        return normalise_domain(text.strip().rstrip("."))
    except AddressError as error:
        raise forms.ValidationError({field: f"Not a domain name: {error.reason}"}) from None
