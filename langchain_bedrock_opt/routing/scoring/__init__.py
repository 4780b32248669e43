"""How hard a request is: from what it holds to a number from 0 to 1, with reasons.

Lives here: what is in a request (`reading`, `lexicon`, `signals`), the shipped score (`scorer`,
with the learned weights of `ngrams`), scorers that ask a network (`judge`, `prompt_router`, and
`embedding` with `neighbours`, all over `remote` and `memo`), and how any of them is asked
(`asking`). Does not live here: what a score leads to, and weights learned from one's own labels
(`routing.learning`).
Start at `scorer.ComplexityScorer`.
"""
