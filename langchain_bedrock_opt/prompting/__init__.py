"""Prompts: without what means nothing, and within what fits.

Lives here: white space that means nothing taken out of prompts (`optimizing`), histories and
documents cut to a budget of tokens (`limiting`), the estimate of tokens corrected by what calls
really used (`correcting`). Does not live here: the estimate itself (`catalog`), a request's
prompt cache points (langchain-aws places them).
Start at `optimizing` and `limiting`. Tests: `tests/unit_tests/prompting` and
`tests/integration_tests/prompting`.
"""
