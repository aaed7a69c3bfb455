"""What mail is: addresses, envelopes, replies, headers, signatures; bytes and values only."""
