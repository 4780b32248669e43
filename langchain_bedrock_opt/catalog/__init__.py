"""Facts about Bedrock as data, and the pure functions that read them.

Lives here: model ids and ARNs (`model_ids`), what models can do (`specs`) and in which tiers they
are offered (`offers`), token estimates (`tokens`) and prices. Of those: the function that most
callers need (`prices`), the layers they come from (`price_book`, `price_overrides`, `price_genai`),
what a row of `data/prices.json` means (`price_rows`), the exact cost of a call (`model_price`), the
grammar of the AWS Price List (`price_skus`) and a comparison with others' data (`price_drift`).
Does not live here: anything that asks AWS (`aws.price_list` fetches) or knows LangChain. Start at
`model_ids.parse_model_id`, or for prices at `price_book.PriceBook`. Tests:
`tests/unit_tests/catalog`.
"""
