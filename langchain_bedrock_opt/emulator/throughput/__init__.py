"""Provisioned throughput: bought, changed and deleted on a clock, and limited by its model units.

Lives here: the throughputs and their operations (`service`, `operations`), what one of them is
(`throughput`), how it goes from status to status (`lifecycle`), which models can have one
(`eligible`), what its units take in a minute (`units`), settings (`settings`) and faults
(`faults`). Does not live here: what a unit can do (the catalog) and on-demand quotas (`quota`).
Start at `service.ThroughputService`. Tests: `tests/unit_tests/emulator/test_throughput_*.py`.
"""
