"""What a profile changes. Only the demo differs from production, and only here."""

#: Names are those of the retry policy and of the upkeep; durations as in stream settings.
PROFILES: dict[str, dict[str, str]] = {
    "production": {
        "retry_steps": "1m,5m,15m,30m,60m",
        "retry_ceiling": "4h",
        # Events make a task three times as expensive (285 against 749 us of worker CPU).
        "task_events": "no",
    },
    # A newcomer watches greylisting and retries end within a minute and a half.
    "demo": {
        "retry_steps": "3s,5s,8s,12s",
        "retry_ceiling": "15s",
        # A newcomer sees every stage in Flower.
        "task_events": "yes",
    },
}
