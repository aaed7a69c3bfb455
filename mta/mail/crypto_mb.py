"""Intel's multi-buffer cryptography (PyPI: ipp-crypto), loaded once, or the reason why it is not.

Rule 1: nothing needs it. Whoever asks gets a library or a sentence, never an ImportError.
Rule 2: the library names four others of Intel's compiler and uses no symbol of them: empty ones,
        made in memory, stand in for 130 MB that would come under another licence. Should a later
        release use them, loading fails, and the sentence says so.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

PACKAGE = "ipp-crypto"
#: The number is that of the interface: another one is not ours to call.
LIBRARY = "libcrypto_mb.so.13"
LANES = 8
#: Key sizes with a method of their own, in the order of the library's algorithm numbers.
RSA_BITS = (1024, 2048, 3072, 4096)
_X25519 = 4  # Ed25519 has no number of its own; it runs on the same field arithmetic
_NAMED_BUT_UNUSED = ("libsvml.so", "libirng.so", "libimf.so", "libintlc.so.5")

Eight = ctypes.c_void_p * LANES
Places: TypeAlias = "ctypes.Array[ctypes.c_void_p]"
_Lengths = ctypes.c_uint32 * LANES
_DIGESTS = _Lengths(*[32] * LANES)


class Unavailable(Exception):
    """Why signatures cannot be made eight at a time here, in one sentence."""


class Library:
    """The functions that Mailmill calls, each on arrays of eight addresses.

    They keep no state between calls and release the interpreter lock.
    """

    def __init__(self, functions: ctypes.CDLL) -> None:
        pointer, number = ctypes.c_void_p, ctypes.c_uint32
        self._rsa_private = functions.mbx_rsa_private_crt_mb8
        self._rsa_private.argtypes = [Eight] * 7 + [ctypes.c_int, pointer, pointer]
        self._rsa_public = functions.mbx_rsa_public_mb8
        self._rsa_public.argtypes = [Eight] * 3 + [ctypes.c_int, pointer, pointer]
        self._ed25519_sign = functions.mbx_ed25519_sign_mb8
        self._ed25519_sign.argtypes = [Eight] * 3 + [_Lengths] + [Eight] * 2
        self._ed25519_sign.restype = number
        self._ed25519_verify = functions.mbx_ed25519_verify_mb8
        self._ed25519_verify.argtypes = [Eight] * 3 + [_Lengths] + [Eight]
        self._ed25519_verify.restype = number
        self._private = _methods(functions.mbx_RSA_private_crt_Method)
        self._public = _methods(functions.mbx_RSA_pub65537_Method)

    def rsa_private(
        self, asked: Places, made: Places, factors: Sequence[Places], bits: int
    ) -> None:
        """RSASP1 (RFC 8017 5.2.1) from p, q, dp, dq and 1/q; a lane that fails stays zeros."""
        self._rsa_private(asked, made, *factors, bits, self._private[bits], None)

    def rsa_public(self, asked: Places, made: Places, modulus: Places, bits: int) -> None:
        """RSAVP1 (RFC 8017 5.2.2) with the exponent 65537."""
        self._rsa_public(asked, made, modulus, bits, self._public[bits], None)

    def ed25519_sign(
        self, r: Places, s: Places, digests: Places, seeds: Places, public: Places
    ) -> int:
        """RFC 8032 5.1.6 over 32 octets; four bits of status per lane, 0 when all is well."""
        return int(self._ed25519_sign(r, s, digests, _DIGESTS, seeds, public))

    def ed25519_verify(self, r: Places, s: Places, digests: Places, public: Places) -> int:
        """RFC 8032 5.1.7; the status as above."""
        return int(self._ed25519_verify(r, s, digests, _DIGESTS, public))


def load() -> Library:
    """The library, where the processor has AVX-512 IFMA and the package is there; Unavailable."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Unavailable("it needs Linux on x86-64")
    path = _installed()
    try:
        functions = _opened(path)
        functions.mbx_get_algo_info.restype = ctypes.c_uint64
        for number in (*range(len(RSA_BITS)), _X25519):
            if not functions.mbx_get_algo_info(number) & LANES:
                raise Unavailable("the processor has no AVX-512 IFMA")
        return Library(functions)
    except (OSError, AttributeError) as error:
        raise Unavailable(f"{LIBRARY} cannot be loaded: {error}") from None


def eight(memory: "ctypes.Array[ctypes.c_char]", size: int) -> Places:
    """The addresses of eight pieces of `size` octets in `memory`, which must outlive them."""
    first = ctypes.addressof(memory)
    return Eight(*range(first, first + LANES * size, size))


def _installed() -> Path:
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise Unavailable(f"the package {PACKAGE} is not installed") from None
    for file in files:
        if file.name == LIBRARY:
            return Path(os.fspath(file.locate()))
    raise Unavailable(f"the package {PACKAGE} has no {LIBRARY}")


def _opened(path: Path) -> ctypes.CDLL:
    with ExitStack() as stack:
        # All stay open until the last is loaded: the loader knows a library by its file's name too.
        for name in _NAMED_BUT_UNUSED:
            descriptor = os.memfd_create(name)
            stack.callback(os.close, descriptor)
            os.write(descriptor, empty_library(name.encode("ascii")))
            ctypes.CDLL(f"/proc/self/fd/{descriptor}")
        return ctypes.CDLL(str(path))


def _methods(choose: Callable[[int], int]) -> dict[int, ctypes.c_void_p]:
    choose.restype = ctypes.c_void_p  # type: ignore[attr-defined]  # it is a function of ctypes
    return {bits: ctypes.c_void_p(choose(bits)) for bits in RSA_BITS}


def empty_library(name: bytes) -> bytes:
    """An ELF64 shared object for x86-64 with a name (DT_SONAME) and nothing else in it.

    The loader wants: a header, a loadable segment that holds the dynamic section, a symbol table
    (of the one null symbol), a hash table over it, and the word that the stack needs no execution.
    """
    strings = b"\0" + name + b"\0"
    dynamic = 64 + 3 * 56
    symbols = dynamic + 7 * 16
    hashes = symbols + 24
    text = hashes + 16
    size = text + len(strings)
    entries = ((14, 1), (5, text), (10, len(strings)), (6, symbols), (11, 24), (4, hashes), (0, 0))
    return b"".join(
        (
            b"\x7fELF\x02\x01\x01" + bytes(9),
            struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 64, 0, 0),
            struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 4096),  # PT_LOAD
            struct.pack("<IIQQQQQQ", 2, 6, dynamic, dynamic, dynamic, 112, 112, 8),  # PT_DYNAMIC
            struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16),  # PT_GNU_STACK
            *(struct.pack("<QQ", *entry) for entry in entries),
            bytes(24),
            struct.pack("<IIII", 1, 1, 0, 0),
            strings,
        )
    )
