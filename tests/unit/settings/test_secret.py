"""The secret key that an instance makes for itself."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from mta.settings.config import kept_secret


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    made = kept_secret(tmp_path / "data")
    assert len(made) >= 50
    assert kept_secret(tmp_path / "data") == made
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    with pytest.raises(ImproperlyConfigured, match="MAILMILL_SECRET_KEY"):
        kept_secret(tmp_path)
