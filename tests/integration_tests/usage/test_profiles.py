"""Application inference profiles of stock chat models, priced by what the control plane says."""

from __future__ import annotations

import pytest
from langchain_aws import ChatBedrockConverse

from langchain_bedrock_opt import BedrockEmulator, BedrockUsageCallbackHandler

LITE = "us.amazon.nova-lite-v1:0"


@pytest.mark.parametrize("resolver", ["aws", None])
def test_a_stock_models_profile_is_priced_by_asking_aws(
    resolver: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With resolver="aws" the ARN is asked about once; without, its calls are unpriced."""
    with BedrockEmulator() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        arn = aws.models.register_application_profile(LITE, f"app-{resolver}")
        model = ChatBedrockConverse(
            model=arn, provider="amazon", base_model="amazon.nova-lite-v1:0", max_tokens=20
        )
        usage = BedrockUsageCallbackHandler(resolver=resolver)  # type: ignore[arg-type] # a literal
        for _ in range(3):
            model.invoke("Hello", {"callbacks": [usage]})
        usage.flush()
        totals = usage.ledger.totals()

    if resolver is None:
        assert (totals.unpriced_calls, totals.cost_pico_usd) == (3, 0)
        return
    assert totals.unpriced_calls == 0
    assert totals.cost_pico_usd == totals.usage.input * 60_000 + totals.usage.output * 240_000
    assert {record.resolved_id for record in usage.ledger.records()} == {LITE}
    assert aws.journal.count("GetInferenceProfile") == 1
