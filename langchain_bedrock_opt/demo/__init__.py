"""The demo workload, and the run over it.

Lives here: `prompts.jsonl`, one working day of the assistant of a small fictional stationery shop
that also sells a stock-keeping service, in the order its requests arrive. One JSON object a line:
`id`, `lang` (ISO 639-1), `kind` and `prompt`; a request that comes back word for word, or in other
Unicode widths or white space, names the first one in `repeat_of`; the same request in other words
names it in `rephrases`. All prompts were written for this package: none is taken or adapted from a
dataset, a benchmark or a web page, and every person, company, order and contract in them is
invented, so the file is under this package's MIT licence. Does not live here: prompts of users, or
any model's replies. Start at `prompts.jsonl`. Tests: `tests/unit_tests/demo`.
"""
