"""One durable run: from inputs to results, through invocation jobs, with nothing lost.

Lives here: how records are cut into shards (`sharding`) and sent once (`dedupe`); what a run
keeps in S3 (`state`, `notes`); how a stage is sent (`submitting`), seen to its end (`driving`,
`rounds`, `direct`) and read (`collecting`); what a user holds (`batch_run`, `summary`, `plan`).
Does not live here: S3 and the control plane (`batching.jobs`), records and messages
(`batching.records`). It knows nothing of LangChain but through `parts.Program`.
Start at `batch_run.submit`. Tests: `tests/unit_tests/batching/test_run_*.py`,
`tests/integration_tests/batching/test_run_*.py`.
"""
