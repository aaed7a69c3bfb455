"""Why the supervisor does not start, as a sentence for the operator."""


class StartRefused(Exception):
    """The message names what is in the way and what to do about it."""
