"""Another tier stands in, in a conversation that has a tier, or for one told to make an effort."""

from __future__ import annotations

from typing import Any

from botocore.config import Config
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_bedrock_opt.contracts import REPORT_KEY
from langchain_bedrock_opt.emulator import BedrockEmulator
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.emulator.replies.scripted import ScriptedResponder
from langchain_bedrock_opt.routing import (
    Agreement,
    ChatBedrockRouter,
    ComplexityScore,
    Escalation,
    RoutingPolicy,
)

PLAIN, THINKING = "us.amazon.nova-lite-v1:0", "us.amazon.nova-2-lite-v1:0"
REFUSAL = "I'm sorry, but I can't help with that."
TALK: list[BaseMessage] = [HumanMessage("Hi"), AIMessage("Hello!"), HumanMessage("And now?")]


class AtHalf:
    """Finds every request half as hard as can be."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=0.5)


def router_on(
    emulator: BedrockEmulator, tiers: dict[str, str], **settings: Any
) -> ChatBedrockRouter:
    return ChatBedrockRouter(
        tiers=tiers,
        scorer=AtHalf(),
        client=emulator.client(config=Config(retries={"total_max_attempts": 1})),
        bedrock_client=emulator.client("bedrock"),
        **settings,
    )


def test_an_outage_does_not_move_a_conversation() -> None:
    """Once its own tier can be reached again, a conversation is back with it."""
    emulator = BedrockEmulator()
    emulator.faults.add(Fault(code="ThrottlingException", model_id=PLAIN, times=None))
    router = router_on(
        emulator,
        {"simple": PLAIN, "complex": THINKING},
        policy=RoutingPolicy({"complex": 0.9}),
        fallback="next",
    )

    during = router.invoke(TALK)
    emulator.faults.clear()
    after = router.invoke(TALK)

    assert during.response_metadata[REPORT_KEY]["route"]["fallback_from"] == "simple"
    assert after.response_metadata[REPORT_KEY]["route"]["tier"] == "simple"


def test_effort_is_not_asked_of_a_stand_in() -> None:
    """Neither the stronger tier nor the model that has to agree gets the first tier's effort."""
    script = ScriptedResponder(fallback=RuleResponder())
    script.when(lambda request: str(request["modelId"]) in THINKING).reply("Four.")
    script.when(lambda request: "micro" in str(request["modelId"])).reply("Five.")
    emulator = BedrockEmulator(responder=script)
    router = router_on(
        emulator,
        {"simple": THINKING, "complex": PLAIN},
        policy=RoutingPolicy({"complex": 0.6}, effort=True),
        escalate=Escalation(
            agreement=Agreement(model="us.amazon.nova-micro-v1:0"), break_even=False
        ),
    )

    message = router.invoke("What is two and two?")

    first, second, third = (call.params for call in emulator.journal.calls())
    assert "additionalModelRequestFields" in first
    assert "additionalModelRequestFields" not in second
    assert "additionalModelRequestFields" not in third
    route = message.response_metadata[REPORT_KEY]["route"]
    assert route["escalated_from"] == "simple"
    assert "effort" not in route
