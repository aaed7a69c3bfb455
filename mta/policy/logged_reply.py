"""A reply as people and logs write it: on one line, cut short, with something in front.

Rule 1: what parse_reply accepts is read by parse_reply.
Rule 2: text without a code becomes Reply(0, "", text), which classify treats as no reply at all.
"""

import re

from mta.mail.reply import Reply, ReplyError, parse_reply

_LINE_ENDS = re.compile(r"(?:\\r)?\\n|\r?\n")
_BEFORE = re.compile(
    r"^.*?(?:\bsaid: |\bsmtp; ?|remote server returned:? '?|response: )(?=[245]\d\d[ -])",
    re.IGNORECASE,
)
_JOINED = re.compile(r"(?<=\s)([245]\d\d)[ -](?:([245]\.\d{1,3}\.\d{1,3}) )?")


def read_logged_reply(text: str) -> Reply:
    r"""Read a reply from a log line, a DSN or a clipboard; never raises.

    Understands "550-5.1.1 a\n550 5.1.1 b" with real or written-out line ends, a last line that is
    marked as continued, lines joined by a space, and the prefixes of Postfix and of DSN fields.
    """
    lines = [line for line in _LINE_ENDS.split(_BEFORE.sub("", text.strip())) if line.strip()]
    if not lines:
        return Reply(0, "", "")
    if len(lines) == 1:
        code = lines[0][:3]
        lines = [_JOINED.sub(lambda seen: "" if seen[1] == code else seen[0], lines[0])]
    whole = [f"{line[:3]}-{line[4:]}" for line in lines[:-1]]
    whole.append(f"{lines[-1][:3]} {lines[-1][4:]}" if lines[-1][3:4] == "-" else lines[-1])
    try:
        return parse_reply("\n".join(whole))
    except ReplyError:
        return Reply(0, "", " ".join(lines)[:1000])
