"""Who answers if a tier can't be reached, or if its answer is no good.

Lives here: the attempts at one request (`attempts`), what is looked for in an answer (`checks`,
`refusals`), when the next tier answers again and whether that pays (`escalation`, `break_even`),
who stands in for a tier that is throttled (`fallback`), how a call's parameters change on the way
(`translation`), and how a router gets all of it (`setup`).
Start at `attempts.Attempts`.
"""
