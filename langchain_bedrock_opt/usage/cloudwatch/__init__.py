"""Usage as CloudWatch metrics.

A record's way: `sink` takes it, `inbox` hands it to one thread at a time, `series` adds it up by
minute and `dimensions` (within the cap of `cardinality`, as an `aggregate`), `flusher` says when
to send, `sender` makes `datums` of it, `delivery` brings them there once, through an `outbox`.
`metrics` says which metrics there are, `limits` what CloudWatch takes, `sigterm` is the opt-in
signal hook. `emf` writes log lines instead; `dashboard` and `alarms` are what people look at.

Start at `sink.CloudWatchMetricsSink`.
"""
