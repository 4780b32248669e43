"""Documents and conversations cut to a budget of tokens.

Lives here: where a text may be cut (`graphemes`, `sentences`, `fences`), how much of it
fits (`fitting`), a text cut (`text`), a conversation's turns (`turns`, `conversation`) and a
conversation cut (`history`), the marker (`markers`), the function and the Runnable (`limiter`).
Does not live here: how tokens are counted (`catalog.tokens`).
Start at `limiter.limit_context`. Tests: `tests/unit_tests/prompting/test_limit_*.py`.
"""

from langchain_bedrock_opt.prompting.limiting.limiter import ContextLimiter, limit_context

__all__ = ["ContextLimiter", "limit_context"]
