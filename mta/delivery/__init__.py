"""One batch on its way: routed, signed, sent, judged."""
