"""The emulator's prompt routers: which model answers, and where the answer says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.emulator import ScriptedResponder

LITE, PRO = "us.amazon.nova-lite-v1:0", "us.amazon.nova-pro-v1:0"
SHORT, LONG = "Hi", "word " * 200


def asking(arn: str, text: str) -> dict[str, Any]:
    return {"modelId": arn, "messages": [{"role": "user", "content": [{"text": text}]}]}


@pytest.mark.parametrize(("text", "model"), [(SHORT, LITE), (LONG, PRO)])
def test_long_prompts_go_to_the_fallback(text: str, model: str) -> None:
    """Short prompts go to the other model, long ones to the fallback; whole or as a stream."""
    brain = ScriptedResponder(["Yes."] * 2)
    asked: list[str] = []

    def note(request: Mapping[str, Any]) -> bool:
        asked.append(request["modelId"])
        return False

    brain.when(note).reply("No.")
    bedrock = BedrockEmulator(responder=brain, prompt_routers={"r": [LITE, PRO]})
    arn, client = bedrock.models.prompt_routers[0].arn, bedrock.client()

    whole = client.converse(**asking(arn, text))
    events = list(client.converse_stream(**asking(arn, text))["stream"])

    trace = {"promptRouter": {"invokedModelId": bedrock.models.arn_of(model)}}
    assert whole["trace"] == events[-1]["metadata"]["trace"] == trace
    assert asked == [model.removeprefix("us.")] * 2


def test_the_length_that_decides_can_be_set() -> None:
    """`long_from` names the input tokens from which on the fallback answers."""
    bedrock = BedrockEmulator()
    arns = [
        bedrock.models.register_prompt_router([LITE, PRO], PRO, f"from{long}", long_from=long)
        for long in (0, 10_000)
    ]

    chosen = [
        bedrock.client().converse(**asking(arn, LONG))["trace"]["promptRouter"]["invokedModelId"]
        for arn in arns
    ]

    assert chosen == [bedrock.models.arn_of(PRO), bedrock.models.arn_of(LITE)]


def test_a_router_of_one_model_takes_it() -> None:
    """With nothing to choose from the fallback answers every prompt."""
    bedrock = BedrockEmulator(prompt_routers={"r": [LITE]})
    arn = bedrock.models.prompt_routers[0].arn

    trace = bedrock.client().converse(**asking(arn, SHORT))["trace"]

    assert trace["promptRouter"]["invokedModelId"] == bedrock.models.arn_of(LITE)


def test_other_answers_have_no_trace() -> None:
    """A model that is called by its own id is not said to have been chosen."""
    assert "trace" not in BedrockEmulator().client().converse(**asking(LITE, SHORT))
