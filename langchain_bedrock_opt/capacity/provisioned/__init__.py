"""Provisioned throughput: bought once, waited for, used, deleted.

`manager` is the door. `purchase` is what is to be bought, and the token that makes it one
purchase; `records` what Bedrock says of one that exists; `calls` asks the control plane; `buying`
finds or buys, `waiting` waits, `deleting` deletes, and `temporary` does all three round a `with`
block; `timeouts` says for how long, and `hints` what to do about a refusal.
"""
