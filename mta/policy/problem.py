"""A fault of a rule that an operator can mend: which rule, which field, what and how."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence about one field; `field` is "" when the rule as a whole is at fault."""

    rule: str
    field: str
    text: str

    def __str__(self) -> str:
        where = f"{self.field} " if self.field else ""
        return f"rule {self.rule!r}: {where}{self.text}"
