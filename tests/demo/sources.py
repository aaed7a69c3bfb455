"""The sources of the demo: two pools over four loopback addresses."""

#: Messages that the warming source may send to one receiver today.
WARMUP_CAP = 5
#: Pool, source and address; the last one warms up.
SOURCES = (
    ("transactional", "transactional-1", "127.0.1.1"),
    ("transactional", "transactional-2", "127.0.1.2"),
    ("marketing", "marketing-1", "127.0.1.3"),
    ("marketing", "marketing-warming", "127.0.1.4"),
)
WARMING = SOURCES[-1][1]
