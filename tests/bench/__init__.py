"""Benchmarks: what a message costs, beside Postfix and OpenDKIM in the same run.

Rule 1: nothing here is a test; a slow machine makes a small number, never a failure. Only a lost or
doubled message is a failure.
Rule 2: injector and sink are processes of their own, the same ones for us and for the peer.
Rule 3: commits are durable, for us and for the peer, on the same disk.
Rule 4: the clock runs from the first byte handed in to the last message at the sink.
"""
