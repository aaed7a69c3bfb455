"""Why an action or a question was refused, in words for the person who asked."""


class Refused(ValueError):
    """The input does not fit; `argument` names it, the text says what is wrong and the fix."""

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(f"{argument}: {reason}")
        self.argument = argument
        self.reason = reason
