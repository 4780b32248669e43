"""LangChain's standard unit tests for chat models, on the router."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_bedrock_opt.routing import ChatBedrockRouter

# The suite asks for `strict` with `json_schema`, which langchain-aws answers with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter only applies")


class TestRouterStandard(ChatModelUnitTests):
    """The whole suite; what it skips, it skips by its own properties."""

    @pytest.fixture(autouse=True)
    def _no_sockets_needed(self, bedrock: Any) -> None:
        self._bedrock = bedrock

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatBedrockRouter

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "tiers": {
                "simple": "us.amazon.nova-lite-v1:0",
                "complex": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            },
            "client": self._bedrock,
            "bedrock_client": self._bedrock,
        }

    @property
    def model_override_value(self) -> str:
        return "us.anthropic.claude-haiku-4-5-20251001-v1:0"


class TestRecoveringRouterStandard(TestRouterStandard):
    """The same of a router that escalates and falls back."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "escalate": True, "fallback": "next"}
