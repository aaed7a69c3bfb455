"""What mail is: addresses, envelopes, replies, headers, signatures. Bytes and values in, values out."""
