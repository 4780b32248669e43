"""Facts about Bedrock as data, and the pure functions that read them.

Lives here: model ids and ARNs (`model_ids`), what models can do (`specs`), prices (`prices`),
token estimates (`tokens`). Does not live here: anything that asks AWS or knows LangChain.
Start at `model_ids.parse_model_id`. Tests: `tests/unit_tests/catalog`.
"""
