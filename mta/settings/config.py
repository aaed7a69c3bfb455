"""Everything an operator can set in the environment, as one frozen value."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from mta.settings.env import Env, HostPort, Network
from mta.settings.profiles import PROFILES


@dataclass(frozen=True, slots=True)
class Config:
    """The instance's settings; the comment above each field is its line in the reference."""

    #: Folder of the database, the embedded Valkey, journals, logs and generated secrets.
    data_dir: Path
    #: sqlite:///PATH or postgresql://user:password@host/name; empty: SQLite in the data folder.
    database_url: str
    #: redis:// or unix:// address; empty: the embedded Valkey on a socket in the data folder.
    redis_url: str
    #: Signs sessions and encrypts DKIM keys; empty: made once and kept in the data folder.
    secret_key: str
    #: Name of this host in EHLO, Received and Message-ID.
    hostname: str
    #: The pages are reached over HTTPS, behind a proxy that sets X-Forwarded-Proto.
    https: bool
    #: Where the web server listens.
    http_bind: HostPort
    #: Extra names under which the web pages are reached.
    http_hosts: tuple[str, ...]
    #: Where trusted hosts hand in mail: AUTH, or a client address in relay_networks.
    relay_bind: HostPort
    #: Networks that may use the relay bind without AUTH.
    relay_networks: tuple[Network, ...]
    #: Where people and programs hand in mail with STARTTLS and AUTH.
    submission_bind: HostPort
    #: The same with TLS from the first byte.
    smtps_bind: HostPort
    #: Reserved for returning mail (bounces, feedback); nothing listens here yet.
    mx_bind: HostPort
    #: Where Flower listens; reached through /flower/ by staff.
    flower_bind: HostPort
    #: Resolvers as host[:port],...; empty: the system's.
    dns: tuple[HostPort, ...]
    #: Port of receiving mail servers; other than 25 only in tests and in the demo.
    remote_smtp_port: int
    #: Extra trusted certificates, PEM.
    ca_file: str
    #: Certificate and key of the SMTP listeners, PEM; empty: a self-signed pair is made once.
    tls_cert_file: str
    tls_key_file: str
    #: Largest message accepted, bytes.
    max_message_bytes: int
    #: Most recipients of one SMTP transaction.
    max_recipients: int
    smtp_max_connections: int
    smtp_max_connections_per_ip: int
    #: Encrypt stored bodies with a key derived from the secret key.
    encrypt_bodies: bool
    #: Seconds after which a claim that nobody renews is given to another worker.
    claim_seconds: int
    #: Most batches under way at once, over all sites.
    max_batches: int
    #: Most batches under way at once for one destination domain.
    max_batches_per_domain: int
    #: Connections that one deliver worker may hold open at once.
    deliver_connections: int
    #: Threads of the deliver worker for what asks Redis. Connections need none.
    deliver_threads: int
    #: Number of hashed queues that the small sites share.
    tail_queues: int
    #: How RSA signatures are made: "auto" (eight at a time where the processor can) or "openssl".
    rsa: str
    #: Days after which finished messages are deleted, with recipients and attempts; 0: never.
    retention_days: int
    #: Days after which events are deleted; 0: never.
    event_retention_days: int
    #: Python module with hooks of your own (docs/reference/hooks.md); empty: none.
    policy: str
    #: "production" or "demo" (short retry times; see mta/settings/profiles.py).
    profile: str
    #: Log level of the processes.
    log_level: str

    @property
    def redis_address(self) -> str:
        """The Redis in use, embedded or not."""
        return self.redis_url or f"unix://{self.data_dir}/valkey.sock"

    @property
    def embedded_redis(self) -> bool:
        return not self.redis_url

    def profile_values(self) -> dict[str, str]:
        """What the profile sets; shown in check_setup and in the admin."""
        return PROFILES[self.profile]


def load(env: Env) -> Config:
    """Build the configuration; ImproperlyConfigured names the variable that does not fit."""
    data_dir = Path(env.text("DATA_DIR", "var")).absolute()
    config = Config(
        data_dir=data_dir,
        database_url=env.text("DATABASE_URL"),
        redis_url=env.text("REDIS_URL"),
        secret_key=env.text("SECRET_KEY") or kept_secret(data_dir),
        hostname=env.text("HOSTNAME", socket.getfqdn()),
        https=env.flag("HTTPS", False),
        http_bind=env.bind("HTTP_BIND", "127.0.0.1:8000"),
        http_hosts=tuple(filter(None, env.text("HTTP_HOSTS").split(","))),
        relay_bind=env.bind("RELAY_BIND", "127.0.0.1:2525"),
        relay_networks=env.networks("RELAY_NETWORKS"),
        submission_bind=env.bind("SUBMISSION_BIND", "127.0.0.1:2587"),
        smtps_bind=env.bind("SMTPS_BIND", "127.0.0.1:2465"),
        mx_bind=env.bind("MX_BIND", "127.0.0.1:2526"),
        flower_bind=env.bind("FLOWER_BIND", "127.0.0.1:5555"),
        dns=env.host_ports("DNS", 53),
        remote_smtp_port=env.integer("REMOTE_SMTP_PORT", 25, low=1, high=65535),
        ca_file=env.text("CA_FILE"),
        tls_cert_file=env.text("TLS_CERT"),
        tls_key_file=env.text("TLS_KEY"),
        max_message_bytes=env.integer("MAX_MESSAGE_BYTES", 26_214_400, low=65536, high=2**30),
        max_recipients=env.integer("MAX_RECIPIENTS", 1000, low=100, high=100_000),
        smtp_max_connections=env.integer("SMTP_MAX_CONNECTIONS", 1000, low=1, high=100_000),
        smtp_max_connections_per_ip=env.integer(
            "SMTP_MAX_CONNECTIONS_PER_IP", 100, low=1, high=100_000
        ),
        encrypt_bodies=env.flag("ENCRYPT_BODIES", False),
        claim_seconds=env.integer("CLAIM_SECONDS", 120, low=3, high=86_400),
        max_batches=env.integer("MAX_BATCHES", 2500, low=1, high=100_000),
        max_batches_per_domain=env.integer("MAX_BATCHES_PER_DOMAIN", 16, low=1, high=10_000),
        deliver_connections=env.integer("DELIVER_CONNECTIONS", 4000, low=1, high=60_000),
        deliver_threads=env.integer("DELIVER_THREADS", 8, low=1, high=500),
        tail_queues=env.integer("TAIL_QUEUES", 4, low=1, high=32),
        rsa=env.choice("RSA", "auto", ("auto", "openssl")),
        retention_days=env.integer("RETENTION_DAYS", 30, low=0, high=36_500),
        event_retention_days=env.integer("EVENT_RETENTION_DAYS", 30, low=0, high=36_500),
        policy=env.text("POLICY"),
        profile=env.choice("PROFILE", "production", tuple(PROFILES)),
        log_level=env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    )
    refuse_typing_errors(env)
    return config


def refuse_typing_errors(env: Env) -> None:
    """A variable that nothing reads is a setting that somebody believes in."""
    unknown = env.unknown()
    if unknown:
        raise ImproperlyConfigured(
            f"{unknown[0]} is not a setting of Mailmill: correct its name or remove it "
            "(docs/reference/settings.md lists them all)."
        )


def kept_secret(data_dir: Path) -> str:
    """The secret key of this data folder, made at first use and readable by its owner only.

    Processes of a first start may race: the file appears whole or not at all, and the first wins.
    """
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = data_dir / f".secret_key.{os.getpid()}"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, secrets.token_urlsafe(48).encode())
            with suppress(FileExistsError):  # another process of the first start was quicker
                os.link(draft, path)
        finally:
            os.close(file)
            draft.unlink()
    value = path.read_text().strip()
    if not value:
        raise ImproperlyConfigured(
            f"{path} is empty: restore it from a backup, or set MAILMILL_SECRET_KEY."
        )
    return value
