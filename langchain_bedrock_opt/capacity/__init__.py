"""Capacity: bought, planned, chosen call by call, and never asked for more than there is.

Lives here: provisioned throughput (`provisioned`: buy, wait, use, delete), its planner
(`planning`), the lanes a call may take (`lanes`: service tier, latency-optimized inference,
effort, overflow from provisioned throughput to on-demand), admission control (`admission`).
Does not live here: what a model unit can do and which models offer what (`catalog`), prices
(`catalog`), the local Bedrock's own throughput (`emulator`), boto3 clients (`aws`).
Start at `provisioned.manager.ProvisionedThroughputManager`. Tests: `tests/unit_tests/capacity`
and `tests/integration_tests/capacity`.
"""
