"""Prompts without the white space that means nothing.

The rules are in `protection` (what is left as it is) and `rules` (what means nothing), and `text`
applies them to one text; `prompt` and `layer` apply that to prompts and requests.
"""

from langchain_bedrock_opt.prompting.optimizing.layer import PromptOptimizationLayer
from langchain_bedrock_opt.prompting.optimizing.prompt import PromptOptimizer, optimize_prompt
from langchain_bedrock_opt.prompting.optimizing.savings import Savings
from langchain_bedrock_opt.prompting.optimizing.text import Optimized

__all__ = [
    "Optimized",
    "PromptOptimizationLayer",
    "PromptOptimizer",
    "Savings",
    "optimize_prompt",
]
