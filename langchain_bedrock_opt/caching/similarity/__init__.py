"""Whether the answer to one question may be given to another.

Lives here: what a user sets up (`tier`) and what a cache then asks (`bound`); which stored
questions are near, in cells of any store (`cell_index`, with the cells in `cells`) or on a server
with vector search (`redis_index`); their embeddings (`embedding`) as few bytes (`vectors`, sealed
by `packing`). Then the gate: what is kept of a text, which is hashes and never the text (`facts`,
with the word lists of Japanese and English in `lexicon`); differences that always forbid reuse
(`vetoes`); what speaks for and against it as numbers (`features`); the rule that learns in place
which numbers are good enough (`verifier`, with its statistics in `bounds` and `logistic`), whose
labels processes share (`labels`) and judges give (`judges`). Does not live here: what a request's
scope is (`caching.keys`), and what becomes of a match (`caching.layer`). Start at
`tier.SimilarityTier`, then `bound.BoundTier.find`. Tests: `tests/unit_tests/caching/similarity`.
"""
