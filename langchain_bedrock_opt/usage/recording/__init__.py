"""From LangChain's callbacks to one `UsageRecord` a run.

`callback` hears runs, `runs` and `paths` remember the open ones, `records` reads answers
(`meaning` says how to read `input_tokens`), `pricing` prices them, `estimates` stands in where
nobody said the tokens, and `resolving` asks what an ARN stands for. `context` is the `with` block
(`blocks`, `nested`); `lifetime` is for forks and exits; `seen` is for sinks that handlers share.
Start at `callback.BedrockUsageCallbackHandler`.
"""
