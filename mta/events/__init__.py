"""What happened, told once: the outbox of events and the webhooks that read it."""
