"""The only door to boto3.

Lives here: client settings and shared clients (`clients`), layers on the way to Bedrock
(`layers`), capture and replay of requests and responses (`replay`), what the control plane knows
behind an ARN (`resolution`), the Price List (`price_list`), waits between tries (`backoff`), and
botocore's errors as ours (`errors`). Does not live here: LangChain, what a call costs, decisions.
Start at `layers.LayeredClient`. Tests: `tests/unit_tests/aws`.
"""
