"""The emulator's way in and out: HTTP, Bedrock's JSON and binary event streams.

Lives here: requests to calls and answers to responses (`wire`, by botocore's service models:
`routes`, `parameters`, `shapes`), event streams (`eventstream`, `converse`), and the two fronts,
a server (`server`) and clients in process (`inprocess`). Does not live here: what is answered.
Start at `wire.Wire`. Tests: `tests/unit_tests/emulator/test_wire.py` and its neighbours.
"""
