"""Lanes: by which capacity each call is served.

Lives here: the layer that asks for a service tier or latency-optimized inference where the model
offers it (`lane`), the layer that takes calls from a provisioned throughput to on-demand while it
is full (`overflow`, with its `gate`), and the chat model with that layer (`overflow_model`). Does
not live here: what models offer (`catalog.offers`), which model answers (`routing`), what was
served (`usage`). Start at `overflow.Overflow` or `lane.Lane`. Tests: `tests/unit_tests/capacity`.
"""
