"""Run the SMTP listeners: relay, submission and implicit TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mta.observe import maillog
from mta.settings.config import Config
from mta.smtpd import tls
from mta.smtpd.config import Bind, Kind, SmtpdConfig
from mta.smtpd.server import ListenError, serve


class Command(BaseCommand):
    help = "Run the SMTP listeners (relay, submission, smtps) until SIGTERM."
    # `up` starts nine processes: the checks, a third of a start, are made once, by migrate.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        config: Config = settings.MAILMILL
        maillog.open_file(config.data_dir / "log" / "mail.log")
        try:
            serve(smtpd_config(config))
        except (ListenError, tls.CertificateError) as error:
            raise CommandError(str(error)) from error


def smtpd_config(config: Config) -> SmtpdConfig:
    """The listeners as the settings describe them; makes a certificate when none is set."""
    cert_file, key_file = certificate_files(config)
    return SmtpdConfig(
        hostname=config.hostname,
        binds=tuple(
            Bind(kind, *address)
            for kind, address in (
                (Kind.RELAY, config.relay_bind),
                (Kind.SUBMISSION, config.submission_bind),
                (Kind.SMTPS, config.smtps_bind),
            )
        ),
        tls_cert_file=cert_file,
        tls_key_file=key_file,
        relay_networks=config.relay_networks,
        max_message_bytes=config.max_message_bytes,
        max_recipients=config.max_recipients,
        max_connections=config.smtp_max_connections,
        max_connections_per_ip=config.smtp_max_connections_per_ip,
    )


def certificate_files(config: Config) -> tuple[Path, Path]:
    """(certificate, key): the operator's, or a self-signed pair in the data folder."""
    if bool(config.tls_cert_file) != bool(config.tls_key_file):
        raise CommandError("Set both MAILMILL_TLS_CERT and MAILMILL_TLS_KEY, or neither.")
    if config.tls_cert_file:
        return Path(config.tls_cert_file), Path(config.tls_key_file)
    folder = config.data_dir / "tls"
    tls.ensure_self_signed(folder / "cert.pem", folder / "key.pem", config.hostname)
    return folder / "cert.pem", folder / "key.pem"
