"""How many tokens a text, messages or a request are likely to have, without asking anyone.

Counting characters by four, as most libraries do, is two thirds too low for Japanese. Here
characters are sorted into classes (`classes`), each with a weight by family of tokenizers
(`families`); images, tools and the marks around messages are added (`content`, `images`); and
what calls return corrects the rest (`correction`). They are estimates: what a call really spent
is in its response. Start at `estimate_tokens`. Tests: `tests/unit_tests/catalog`.
"""

from langchain_bedrock_opt.catalog.tokens.correction import TokenCorrection
from langchain_bedrock_opt.catalog.tokens.counter import TokenCounter, estimate_tokens

__all__ = ["TokenCorrection", "TokenCounter", "estimate_tokens"]
