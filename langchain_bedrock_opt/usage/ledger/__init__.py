"""Usage records that are kept, and asked for by time, model, tag and more.

`ledger` is the sink; `stores` says what keeps its records: memory, `jsonl` or `sqlite`. Start at
`ledger.UsageLedger`.
"""
