"""Prompts: without what means nothing, and within what fits.

Lives here: white space that means nothing taken out of prompts (`optimizing`), histories and
documents cut to a budget of tokens (`limiting`), the estimate of tokens corrected by what calls
really used (`correcting`). Does not live here: the estimate itself (`catalog`), a request's
prompt cache points (langchain-aws places them).
Start at `optimizing` and `limiting`. Tests: `tests/unit_tests/prompting` and
`tests/integration_tests/prompting`.
"""

from langchain_bedrock_opt.catalog.tokens import TokenCorrection, TokenCounter, estimate_tokens
from langchain_bedrock_opt.prompting.correcting import CorrectTokens
from langchain_bedrock_opt.prompting.limiting import ContextLimiter, limit_context
from langchain_bedrock_opt.prompting.optimizing import (
    PromptOptimizationLayer,
    PromptOptimizer,
    optimize_prompt,
)

__all__ = [
    "ContextLimiter",
    "CorrectTokens",
    "PromptOptimizationLayer",
    "PromptOptimizer",
    "TokenCorrection",
    "TokenCounter",
    "estimate_tokens",
    "limit_context",
    "optimize_prompt",
]
