"""How many tokens a text, messages or a request are likely to have, without asking anyone."""

from langchain_bedrock_opt.catalog.tokens.counter import TokenCounter, estimate_tokens

__all__ = ["TokenCounter", "estimate_tokens"]
