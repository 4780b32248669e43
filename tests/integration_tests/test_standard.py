"""langchain-tests' own suites, for each chat model, on the emulator: over HTTP and in process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized, ChatBedrockRouter

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
# A second model of the family, for tests that ask for another model in a call.
OTHER = {
    CLAUDE: "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    NOVA: "us.amazon.nova-lite-v1:0",
}
# The suite calls its PDF `test_file.pdf`, and langchain-aws passes that on; Bedrock refuses a name
# with a dot in it. Everything else that Bedrock refuses is refused here.
RELAXED = ("documents_have_plain_names",)
SERVED = BedrockEmulator(without_rules=RELAXED)
IN_PROCESS = BedrockEmulator(without_rules=RELAXED)

# One class and model never take another one's place; the suite reports these as no feature.
pytestmark = pytest.mark.filterwarnings(
    # langchain-aws on `strict` beside its own json_schema method
    "ignore:.*strict.*:UserWarning",
    # the suite passes a PDF without a name
    "ignore:Bedrock Converse may require a filename:UserWarning",
    # core's v3 event stream says that it is in beta
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning",
)


@pytest.fixture(scope="module", autouse=True)
def _served() -> Iterator[None]:
    with SERVED:
        yield


@pytest.fixture(autouse=True)
def _endpoint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP the models find the emulator as a user's would: by the environment."""
    if request.cls.is_served:
        for name, value in SERVED.environment.items():
            monkeypatch.setenv(name, value)


class OnTheEmulator:
    """What both suites need to know of a model."""

    kind: ClassVar[type[BaseChatModel]]
    model_id: ClassVar[str]
    is_served: ClassVar[bool]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return self.kind

    @property
    def chat_model_params(self) -> dict[str, Any]:
        place: dict[str, Any] = {"region_name": "us-east-1"}
        if not self.is_served:
            place |= {"client": IN_PROCESS.client(), "bedrock_client": IN_PROCESS.client("bedrock")}
        if self.kind is not ChatBedrockRouter:
            return {"model": self.model_id, **place}
        tiers = {"simple": OTHER[self.model_id], "complex": self.model_id}
        # In process it is told to look at answers, too: what goes well must not look different.
        recovery = {} if self.is_served else {"escalate": True, "fallback": "next"}
        return {"tiers": tiers, **recovery, **place}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        if self.kind is ChatBedrockRouter:
            return {}, {}, {}  # its tiers have credentials, it has none
        return (
            {"AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret"},
            self.chat_model_params,
            {"aws_access_key_id": "env-id", "aws_secret_access_key": "env-secret"},
        )

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
        # ChatBedrockConverse has one model; langchain-aws's own suites say the same.
        return self.kind is ChatBedrockRouter

    @property
    def model_override_value(self) -> str | None:
        return OTHER[self.model_id] if self.kind is ChatBedrockRouter else None


def _suites() -> Iterator[tuple[str, type]]:
    for kind in (ChatBedrockConverse, ChatBedrockOptimized, ChatBedrockRouter):
        for family, model_id in (("Claude", CLAUDE), ("Nova", NOVA)):
            for place, is_served in (("Http", True), ("InProcess", False)):
                facts = {"kind": kind, "model_id": model_id, "is_served": is_served}
                for suite in (ChatModelIntegrationTests, ChatModelUnitTests):
                    # langchain-aws's own model is here to prove the emulator, which these of the
                    # suites ask nothing.
                    if kind is ChatBedrockConverse and suite is ChatModelUnitTests:
                        continue
                    name = (
                        f"Test{kind.__name__}{family}{place}{suite.__name__.removeprefix('Chat')}"
                    )
                    yield name, type(name, (OnTheEmulator, suite), facts)


globals().update(_suites())
