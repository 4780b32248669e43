"""langchain-tests' own suites for `BedrockBatch`, on the emulator.

Its batches are two inputs: with Claude they are jobs, since jobs take two records here, and with
Nova they are too few for a job and go on demand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from tests.batch_service import HAIKU, NOVA, BatchService, make_batch_service

# As in test_standard: the suite's PDF has a name that Bedrock refuses.
RELAXED = ("documents_have_plain_names",)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*strict.*:UserWarning",
    "ignore:Bedrock Converse may require a filename:UserWarning",
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning",
)


class OnTheEmulator:
    """What both suites need to know of a model."""

    model_id: ClassVar[str]
    min_records: ClassVar[int]
    services: ClassVar[dict[int, BatchService]] = {}

    @property
    def service(self) -> BatchService:
        """A service for each minimum, made when it is first needed."""
        if self.min_records not in self.services:
            self.services[self.min_records] = make_batch_service(
                min_records=self.min_records, without_rules=RELAXED
            )
        return self.services[self.min_records]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return BedrockBatch

    @property
    def chat_model_params(self) -> dict[str, Any]:
        service = self.service
        return {
            "model": self.model_id,  # an id, so that the suite's parameters are the model's
            "client": service.runtime,
            "bedrock_client": service.bedrock,
            "s3_uri": f"s3://{service.bucket}/runs/",
            "role_arn": service.role_arn,
            "s3_client": service.s3,
            "min_records": service.min_records,
            "clock": service.clock,
            "sleep": service.clock.sleep,
            "on_invoke": "ignore",  # the suite's agents are meant to ask one by one
            "below_minimum": "on_demand",  # and Nova's batches are meant to be too small
        }

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return "claude" in self.model_id

    @property
    def supports_anthropic_inputs(self) -> bool:
        return "claude" in self.model_id

    @property
    def supports_model_override(self) -> bool:
        return False  # as ChatBedrockConverse, which has one model


def _suites() -> Iterator[tuple[str, type]]:
    for family, model_id, min_records in (("Claude", HAIKU, 2), ("Nova", NOVA, 100)):
        facts = {"model_id": model_id, "min_records": min_records}
        for suite in (ChatModelIntegrationTests, ChatModelUnitTests):
            name = f"TestBatch{family}{suite.__name__.removeprefix('Chat')}"
            yield name, type(name, (OnTheEmulator, suite), facts)


globals().update(_suites())
