"""Whether the answer to one question may be given to another.

Lives here: what the gate keeps of a text, which is hashes and never the text (`facts`, with the
word lists of Japanese and English in `lexicon`); differences that always forbid it (`vetoes`);
what speaks for and against it as numbers (`features`); and the rule that learns in place which
numbers are good enough (`verifier`, with its statistics in `bounds` and `logistic`). Does not live
here: which questions are near (the index) and what is done with a hit (the tier). Start at
`verifier.Verifier`. Tests: `tests/unit_tests/caching/similarity`.
"""
