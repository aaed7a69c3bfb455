"""What `docs/reference/performance.md` says of each bench and of how to repeat it."""

from __future__ import annotations

from tests.bench.options import VARIABLES, Variable

TITLES = {
    "throughput": "Campaign and relay",
    "latency": "Latency",
    "backlog": "Backlog",
    "slow": "Slow receivers",
    "tail": "The tail of domains",
    "limits": "All limits",
    "fairness": "Fairness",
}
MEANING = {
    "throughput": (
        "**campaign**: API requests of 1,000 recipients; each message personalised from a template",
        "(subject, text, HTML). **relay**: messages handed in by SMTP over 20 sessions.",
        "",
        "- Messages per second: from the first byte handed in to the last message at the sink;",
        "  caches are warm and connections open.",
        "- CPU is user and system time, until the last message is settled in the database.",
        "- Memory is that of all processes of the stack, pages shared by several counted once.",
        "- The peer has half of its messages right before ours and half right after: the speed of",
        "  a shared machine drifts. It takes them by SMTP over 20 sessions, 2,048 bytes each, and",
        "  signs once (RSA-2048, OpenDKIM as a milter on a Unix socket). Both commit to the disk",
        "  before they say 250, and both send to the same sink. The peer's configuration is in",
        "  [tests/bench/peer](../../tests/bench/peer/main.cf).",
    ),
    "latency": (
        "Single transactional messages, handed in by another process at random gaps of 20 to",
        "100 ms: the time from the 202 (250) to the end of the content at the sink, both on one",
        "clock. Busy: the same, ten a second, while a campaign of another tenant to another domain",
        "is handed in and drains.",
    ),
    "backlog": (
        "What is due is handed in while the dispatch process is stopped, then all of it may go.",
        "The clock runs until what was claimed is settled; of the large backlog the first messages",
        "are measured (`N`), of the small one as many in all. What is not due has a `send_at` of",
        "the day after tomorrow: half in the campaign's own lane, half in 100 others. CPU is that",
        "of all processes, memory the most that they had together while it was filled and drained.",
    ),
    "slow": (
        "Receivers that answer seconds after the dot, each domain with a few messages; handed in",
        "first, then let go. Connections are those that the process of the deliver worker itself",
        "holds to the sink (the sink counts as many). Cores are its CPU time by the clock while it",
        "holds 95 % of them or more, sending included; KB are what its memory (PSS) grew by, from",
        "no connection at all, divided by the connections: batches, their mail and their messages",
        "are in it.",
    ),
    "tail": (
        "All messages wait when the clock starts; each domain has an MX and an address of its own,",
        "and is looked up once. With 10 messages a connection the one domain opens as many",
        "connections as the tail: that ratio leaves the cost of connections aside.",
    ),
    "limits": (
        "The campaign in turn without and with limits (off, on, off, on, off), on one running",
        "stack, each turn warm before its clock starts. On: rates a second, minute, hour and day",
        "and connections by rules for all, for the provider, for the site and for each source to",
        "it; rates of tenant, stream and source; quotas of the hour and the day; a second source",
        "that is warming, with an overflow pool; three routing rules, one about bounces in the",
        "last hour, one about campaign and tags; one recipient in ten engaged. No limit binds and",
        "no rule holds, but all are asked and counted. Off: one rate and connections.",
    ),
    "fairness": (
        "Two tenants write to one site. One has its campaign waiting, handed in while nothing was",
        "claimed; the other sends single messages, by its transactional and its bulk stream in",
        "turn. Time is from the 202 to the end of the content at the receiver, whose 250 follows",
        "at once. The limited site takes 5 messages a second, 1 at once: there it matters how many",
        "messages of others came between the 202 of a single one and itself.",
    ),
}
ABOUT_OTHERS = (
    "`other cores` are those that other programs kept busy during the measurement. A system of",
    "many processes (Postfix) gets more of a contended core than one of few, so such a run",
    "flatters the peer; the CPU ratio (CPU time of the peer for a message, by ours) depends on",
    "it far less. Bytes are those of the sink's capture, signatures and about 200 of its own",
    "included.",
)


def repeat() -> list[str]:
    """How to measure again, with every variable."""
    rows = [f"| `{one.name}` | {one.meaning} | {values(one)} |" for one in VARIABLES]
    return [
        "## How to repeat it",
        "",
        "```sh",
        "apt-get install postfix opendkim    # peer, injector and sink; only root may start it",
        "make bench                          # all on both databases, and this page: 1 to 2 hours",
        "make bench QUIET=60                 # the same on a machine that is idle now and then",
        "make bench BENCH=campaign N=20000 BACKEND=postgresql",
        "make bench BENCH=backlog WAITING=50000 BACKEND=sqlite",
        "make bench BENCH=limits N=20000",
        "make bench BENCH=fairness N=100000",
        ".venv/bin/python -m tests.bench --write-docs",
        "```",
        "",
        "| variable | meaning | values (default) |",
        "|---|---|---|",
        *rows,
        "",
        "Each bench prints one line of JSON and leaves it in `var/bench/`; progress goes to",
        "standard error. Injector and sink are processes of their own. In every bench the sink",
        "notes each recipient it was given, and each is different; the exit code is 1 when a",
        "message was lost or doubled. This page is written after a run of everything at the sizes",
        "of the goals, or by `--write-docs` from the last line of each bench. Without Debian's",
        "`postfix` the campaign runs against the fake world of the tests and has no peer; `relay`",
        "needs `smtp-source`.",
    ]


def values(variable: Variable) -> str:
    default = variable.shown or (
        variable.default if isinstance(variable.default, str) else f"{variable.default}"
    )
    words = ", ".join(f"`{word}`" for word in variable.words)
    if variable.many:
        words += ", `all`"
    return f"{words or 'number'} ({default})"
