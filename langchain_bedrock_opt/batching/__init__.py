"""Invocation jobs: `.batch()` at half the on-demand price, with nothing lost.

Lives here: what a job's records say and how their answers are read (`records`); S3 and the
control plane (`jobs`); one durable run from its inputs to its results (`run`); the chat model
whose batches are jobs (`chat_model`, `BedrockBatch`); whole chains, graphs and agents (`chains`,
`as_batch`). `parts` holds what these hand to each other. Does not live here: limits and prices
(`catalog`), boto3 clients (`aws`), the service that runs jobs in tests (`emulator`).
Start at `chat_model.BedrockBatch`. Tests: `tests/unit_tests/batching`,
`tests/integration_tests/batching`.
"""
