"""Sockets: DNS and SMTP towards other people's servers."""
