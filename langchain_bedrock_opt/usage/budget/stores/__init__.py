"""Where a budget is counted: in this process (`memory`), or shared (`redis`, `dynamodb`).

`base` says what a store does, `fallback` what happens where a shared one fails, `late` what then
becomes of calls that end. Start at `base`.
"""
