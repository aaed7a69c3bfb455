"""The multi-buffer library is loaded or the reason is told; empty ones stand in for unused ones."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from mta.mail import crypto_mb
from mta.mail.crypto_mb import Unavailable, empty_library, load

linux = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="ELF of x86-64"
)


@linux
def test_an_empty_library_answers_to_its_name() -> None:
    script = (
        "import ctypes, os\n"
        "from mta.mail.crypto_mb import empty_library\n"
        "descriptor = os.memfd_create('x')\n"
        "os.write(descriptor, empty_library(b'libnothing-here.so.7'))\n"
        "ctypes.CDLL(f'/proc/self/fd/{descriptor}')\n"
        "ctypes.CDLL('libnothing-here.so.7')\n"  # by its name, though no such file exists
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@linux
def test_an_empty_library_has_no_symbols() -> None:
    descriptor = os.memfd_create("y")
    os.write(descriptor, empty_library(b"libnothing-there.so"))
    library = ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    os.close(descriptor)
    with pytest.raises(AttributeError, match="undefined symbol"):
        library["anything"]


def test_a_machine_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(Unavailable, match="x86-64"):
        load()


@linux
def test_a_package_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_mb, "PACKAGE", "idna")
    with pytest.raises(Unavailable, match="idna has no libcrypto_mb"):
        load()


@linux
def test_a_file_that_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_mb, "PACKAGE", "idna")
    monkeypatch.setattr(crypto_mb, "LIBRARY", "METADATA")
    with pytest.raises(Unavailable, match="cannot be loaded"):
        load()
