"""TLS contexts for outgoing SMTP: what is trusted, and how much is asked of the peer."""

import ssl
from functools import lru_cache


@lru_cache(maxsize=8)
def client_context(ca_file: str | None = None, *, verified: bool = False) -> ssl.SSLContext:
    """A shared context for STARTTLS towards MX hosts.

    Without `verified` any certificate will do: a receiver's name is not known securely from DNS
    alone, so encryption against listeners is all there is to have (RFC 3207 6, RFC 7435).
    `verified` checks chain and host name, with `ca_file` trusted beside the system's store.
    Raises OSError when `ca_file` cannot be read, ssl.SSLError when it holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # RFC 8996: TLS 1.0 and 1.1 are not to be used, not even opportunistically.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if verified:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
        return context
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Weak keys still beat clear text, the only other choice here; aNULL and eNULL stay out.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context
