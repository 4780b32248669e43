"""Invocation jobs: batch inference on a clock, from `.jsonl` in S3 to `.jsonl.out` in S3.

Lives here: the jobs and their four operations (`service`, `operations`), how a job goes from
status to status (`lifecycle`), what is checked (`checks`), how records are run and written
(`work`, `records`, `storage`), settings (`settings`) and faults (`faults`). Does not live here:
what models answer (`questions`, `replies`), and S3 itself, which is moto's. Start at
`service.JobService`. Tests: `tests/unit_tests/emulator/test_jobs*.py`.
"""
