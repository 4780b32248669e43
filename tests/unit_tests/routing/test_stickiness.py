"""Stickiness: a conversation goes up a tier, but not down while its prompt cache is warm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.runnables import ConfigurableField

from langchain_bedrock_opt.contracts import REPORT_KEY
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import (
    ChatBedrockRouter,
    ComplexityScore,
    RoutingPolicy,
    Stickiness,
)
from langchain_bedrock_opt.routing.stickiness import place_of

MakeRouter = Callable[..., ChatBedrockRouter]

EASY = "an easy question"
HARD = "a hard question"


class ByWord:
    """Finds a request hard if its last human turn says so."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        last = messages if isinstance(messages, str) else _last_human(messages)
        return ComplexityScore(value=0.9 if "hard" in last else 0.1)


def _last_human(messages: Sequence[Any]) -> str:
    turns = [each for each in convert_to_messages(messages) if isinstance(each, HumanMessage)]
    return str(turns[-1].content)


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(make_router: MakeRouter) -> MakeRouter:
    """Makes routers that know hard from easy by the word."""
    return partial(make_router, scorer=ByWord())


@pytest.fixture
def sticky_router(make: MakeRouter, clock: Clock) -> ChatBedrockRouter:
    return make(sticky=Stickiness(clock=clock))


def talk(router: Any, turns: Sequence[str], system: str = "Be kind.") -> list[str]:
    """Hold a conversation and return the tier of each answer."""
    messages: list[BaseMessage] = [SystemMessage(system)]
    tiers = []
    for turn in turns:
        messages.append(HumanMessage(turn))
        answer = router.invoke(messages)
        messages.append(answer)
        tiers.append(answer.response_metadata[REPORT_KEY]["route"]["tier"])
    return tiers


def test_a_conversation_goes_up_but_not_down(sticky_router: ChatBedrockRouter) -> None:
    """After a hard question the strong tier keeps the conversation, easy turns included."""
    assert talk(sticky_router, [EASY, HARD, EASY, EASY]) == [
        "simple",
        "complex",
        "complex",
        "complex",
    ]


def test_the_decision_says_that_it_is_sticky(sticky_router: ChatBedrockRouter) -> None:
    """A turn that only its conversation keeps up has that as a reason, with no weight."""
    talk(sticky_router, [HARD])

    decision = sticky_router.decide(
        [SystemMessage("Be kind."), HumanMessage(HARD), AIMessage("Done."), HumanMessage(EASY)]
    )

    assert decision.tier == "complex"
    assert decision.score == 0.1
    assert (decision.reasons[-1].signal, decision.reasons[-1].weight) == ("sticky", 0.0)
    assert decision.reasons[-1].detail == "the conversation is with complex"


@pytest.mark.parametrize(("seconds", "tier"), [(299.0, "complex"), (301.0, "simple")])
def test_a_cold_conversation_is_routed_anew(
    sticky_router: ChatBedrockRouter, clock: Clock, seconds: float, tier: str
) -> None:
    """Five minutes after its last turn a conversation's cache is gone, and it may go down."""
    talk(sticky_router, [HARD])
    clock.now += seconds

    later = sticky_router.decide(
        [SystemMessage("Be kind."), HumanMessage(HARD), AIMessage("Done."), HumanMessage(EASY)]
    )

    assert later.tier == tier


def test_each_turn_keeps_the_cache_warm(sticky_router: ChatBedrockRouter, clock: Clock) -> None:
    """The time counts from the last turn, not from the first."""
    messages: list[BaseMessage] = [HumanMessage(HARD)]
    for _ in range(4):
        answer = sticky_router.invoke(messages)
        clock.now += 200
        messages += [answer, HumanMessage(EASY)]

    assert sticky_router.decide(messages).tier == "complex"


def test_a_new_conversation_does_not_inherit(sticky_router: ChatBedrockRouter) -> None:
    """Conversations that begin with the same words don't push each other up."""
    talk(sticky_router, ["Hi", HARD, EASY])

    assert talk(sticky_router, ["Hi", EASY]) == ["simple", "simple"]
    assert talk(sticky_router, [HARD], system="Other.") == ["complex"]
    assert talk(sticky_router, [EASY], system="Other.") == ["simple"]


def test_a_thread_id_is_a_conversation(sticky_router: ChatBedrockRouter) -> None:
    """With `thread_id` in the config a conversation is known by it, its turns shortened or not."""
    thread: Any = {"configurable": {"thread_id": "t1"}}
    other: Any = {"configurable": {"thread_id": "t2"}}
    shortened = [HumanMessage("(what was said before)"), HumanMessage(EASY)]

    tiers = [
        sticky_router.invoke(prompt, config).response_metadata[REPORT_KEY]["route"]["tier"]
        for prompt, config in ((HARD, thread), (shortened, thread), (shortened, other))
    ]

    assert tiers == ["complex", "complex", "simple"]


def test_the_parts_of_a_spread_out_job_stand_alone(sticky_router: ChatBedrockRouter) -> None:
    """Requests of one thread with nothing before them don't pull each other up."""
    thread: Any = {"configurable": {"thread_id": "t1"}}

    thread["max_concurrency"] = 1
    answers = sticky_router.batch([HARD, EASY, EASY], thread)

    tiers = [answer.response_metadata[REPORT_KEY]["route"]["tier"] for answer in answers]
    assert tiers == ["complex", "simple", "simple"]


def test_the_nodes_of_a_graph_don_t_push_each_other_up(sticky_router: ChatBedrockRouter) -> None:
    """In one thread, calls with another system prompt have another prompt cache."""
    thread: Any = {"configurable": {"thread_id": "t1"}}
    said = [HumanMessage("Hi"), AIMessage("Hello."), HumanMessage(EASY)]
    sticky_router.invoke([SystemMessage("Plan."), HumanMessage(HARD)], thread)

    same = sticky_router.invoke([SystemMessage("Plan."), *said], thread)
    other = sticky_router.invoke([SystemMessage("Name it."), *said], thread)

    assert same.response_metadata[REPORT_KEY]["route"]["tier"] == "complex"
    assert other.response_metadata[REPORT_KEY]["route"]["tier"] == "simple"


@pytest.mark.parametrize("thread_id", [None, "t"])
def test_a_text_is_a_conversations_first_turn(thread_id: str | None) -> None:
    """A prompt given as a text begins the same conversation as one given as a message."""
    assert place_of(HARD, thread_id) == place_of([HumanMessage(HARD)], thread_id)


def test_looking_does_not_make_it_sticky(sticky_router: ChatBedrockRouter) -> None:
    """`decide` sends nothing, so no conversation is with a tier because of it."""
    sticky_router.decide([HumanMessage(HARD)])

    follow_up = [HumanMessage(HARD), AIMessage("?"), HumanMessage(EASY)]
    assert sticky_router.decide(follow_up).tier == "simple"


def test_a_tool_loop_that_went_up_stays_up() -> None:
    """A loop that outgrew the cheap tier's window does not come back when results are dropped."""
    small = FakeListChatModel(responses=["?"], profile={"max_input_tokens": 1000})
    large = FakeListChatModel(responses=["?"])
    router = ChatBedrockRouter(tiers={"small": small, "large": large}, scorer=ByWord())
    call = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    loop = [HumanMessage(EASY), call, ToolMessage("漢字" * 2000, tool_call_id="1")]

    router.invoke(loop)
    shorter = router.decide([*loop[:2], ToolMessage("(dropped)", tool_call_id="1")])

    assert shorter.tier == "large"


def test_stickiness_can_be_off(make: MakeRouter) -> None:
    """`sticky=False` routes each turn by itself."""
    assert talk(make(sticky=False), [HARD, EASY]) == ["complex", "simple"]


def test_a_reconfigured_router_remembers(make: MakeRouter) -> None:
    """A router made anew by `configurable_fields` goes on with the conversations of the first."""
    router = make().configurable_fields(policy=ConfigurableField(id="policy"))

    bound = router.with_config(configurable={"policy": RoutingPolicy()})

    assert talk(bound, [HARD, EASY]) == ["complex", "complex"]


def test_what_is_remembered_is_bounded(make: MakeRouter) -> None:
    """Of more conversations than fit, the one that was silent longest is forgotten."""
    router = make(sticky=Stickiness(max_conversations=2))
    for number in range(3):
        router.invoke(f"{HARD} ({number})")

    tiers = [
        router.decide([("human", f"{HARD} ({number})"), ("ai", "?"), ("human", EASY)]).tier
        for number in range(3)
    ]

    assert tiers == ["simple", "complex", "complex"]


def test_many_threads_may_talk_at_once(make: MakeRouter) -> None:
    """Conversations held in parallel each keep their own tier."""
    router = make(sticky=Stickiness(max_conversations=1000))
    found: dict[int, list[str]] = {}

    def hold(number: int) -> None:
        found[number] = talk(router, [f"{HARD} {number}", EASY] if number % 2 else [EASY, EASY])

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {number: tiers[1] for number, tiers in found.items()} == {
        number: "complex" if number % 2 else "simple" for number in range(8)
    }


@pytest.mark.parametrize("settings", [{"ttl_seconds": 0}, {"max_conversations": 0}])
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    """A time or a size of nothing is refused, with how to switch stickiness off."""
    with pytest.raises(ConfigurationError, match="give sticky=False"):
        Stickiness(**settings)


def test_sticky_is_a_switch_or_a_memory(make: MakeRouter) -> None:
    """Anything else given as `sticky` is refused."""
    with pytest.raises(ConfigurationError, match="sticky='yes': give True, False or a Stickiness"):
        make(sticky="yes")
