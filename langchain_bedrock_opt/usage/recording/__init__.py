"""From LangChain's callbacks to one `UsageRecord` a run.

`callback` hears runs, `runs` remembers the open ones, `records` reads answers, `context` is the
`with` block. Start at `callback.BedrockUsageCallbackHandler`.
"""
