"""What a job's records say, and how their answers are read.

Lives here: LangChain messages as `modelInput` (`recorder`, with its short ways in `skeletons` and
`templates`); `modelOutput` as an `AIMessage` (`reader`); the models' own formats, for records that
Converse jobs don't take (`native`); errors in a job's output (`outcomes`); one record answered
without a job (`direct`); the tokens a record is likely to cost (`estimates`). Upstream's rules stay
upstream's: records are built, and answers read, by the user's own chat model with another client
(`seam`). Does not live here: files, jobs and runs.
Start at `recorder.Recorder`. Tests: `tests/unit_tests/batching/test_records_*.py`.
"""
