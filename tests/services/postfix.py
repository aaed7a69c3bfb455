"""Debian's Postfix as a receiving mail server of a test: own folders, own address, a Maildir."""

from __future__ import annotations

import pwd
import shutil
import subprocess
from pathlib import Path

from tests.services.processes import wait_until

MAIN = """\
compatibility_level = 3.6
config_directory = {folder}/etc
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = /tmp, /var, /root, /home
myhostname = {hostname}
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_transport = virtual
inet_interfaces = loopback-only
inet_protocols = ipv4
smtputf8_enable = yes
alias_maps =
alias_database =
biff = no
"""
MASTER = """\
{address}:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


class Postfix:
    """A running Postfix that takes mail for `domain` at address:port into a Maildir."""

    def __init__(self, folder: Path, *, domain: str, address: str, port: int) -> None:
        self.folder = folder
        # Its daemons drop to the postfix account: they need a way down to the folder.
        for parent in [folder, *folder.parents][:-2]:
            parent.mkdir(exist_ok=True)
            parent.chmod(parent.stat().st_mode | 0o011)
        user = pwd.getpwnam("postfix")
        for name in ("etc", "queue", "data", "mail"):
            (folder / name).mkdir()
        shutil.chown(folder / "data", "postfix")
        shutil.chown(folder / "mail", "postfix")
        values = {
            "folder": folder, "domain": domain, "address": address, "port": port,
            "hostname": f"mx.{domain}", "uid": user.pw_uid, "gid": user.pw_gid,
        }  # fmt: skip
        (folder / "etc" / "main.cf").write_text(MAIN.format(**values))
        (folder / "etc" / "master.cf").write_text(MASTER.format(**values))
        self.run("start")

    def run(self, word: str) -> None:
        done = subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self.folder / "etc"), word],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + self.log()

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text() if path.exists() else ""

    def messages(self) -> list[bytes]:
        """What has been delivered, as it lies in the Maildir (LF line ends)."""
        return [path.read_bytes() for path in sorted((self.folder / "mail/inbox/new").glob("*"))]

    def wait_for_messages(self, count: int, timeout: float) -> list[bytes]:
        wait_until(lambda: len(self.messages()) >= count, timeout, self.log)
        return self.messages()

    def stop(self) -> None:
        self.run("stop")
