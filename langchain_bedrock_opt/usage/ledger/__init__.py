"""Usage records that are kept: in memory or on disk. Start at `ledger.UsageLedger`."""
