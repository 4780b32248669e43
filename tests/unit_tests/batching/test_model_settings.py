"""What a `BedrockBatch` can be made of, and what it says of itself."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from langchain_aws import ChatBedrock, ChatBedrockConverse
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumpd
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableBinding
from pydantic import BaseModel

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized, ChatBedrockRouter
from langchain_bedrock_opt.aws.clients import LazyClient
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.errors import ConfigurationError
from tests.batch_models import BUCKET, ROLE
from tests.batch_service import HAIKU, NOVA

EMULATOR = BedrockEmulator()
TITAN = "amazon.titan-text-express-v1"
PLACE = {"s3_uri": BUCKET, "role_arn": ROLE}


def inner(model: str = NOVA, **fields: Any) -> ChatBedrockOptimized:
    clients = {"client": EMULATOR.client(), "bedrock_client": EMULATOR.client("bedrock")}
    return ChatBedrockOptimized(model=model, **clients, **fields)


def batch(model: Any = None, **fields: Any) -> BedrockBatch:
    return BedrockBatch(model=model or inner(), **{**PLACE, **fields})


class City(BaseModel):
    """A city."""

    name: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        (lambda: inner().bind_tools([add]), "bind it to the batch model"),
        (lambda: ChatBedrockRouter(tiers={"one": inner(), "two": inner()}), "one of its tiers"),
        (
            lambda: ChatBedrock(model=HAIKU, client=EMULATOR.client(), region="us-east-1"),
            "pass a ChatBedrockConverse",
        ),
        (lambda: FakeListChatModel(responses=["4"]), "no model of Bedrock's Converse API"),
        (lambda: 4, "is no chat model"),
    ],
)
def test_other_models_are_refused_with_what_to_pass(model: Any, advice: str) -> None:
    """A router, ChatBedrock, a binding and a stranger are each refused with the fix."""
    with pytest.raises(ConfigurationError, match=re.escape(advice)):
        batch(model())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"role_arn": "admin"}, "role_arn='admin'"),
        ({"s3_uri": "bucket/prefix"}, "bucket/prefix"),
        ({"s3_uri": "s3://bucket/a b/"}, "a b"),
        ({"timeout_hours": 1}, "timeout_hours=1"),
        ({"min_records": 0}, "min_records=0"),
        ({"below_minimum": "wait"}, "below_minimum='wait'"),
        ({"on_failed": "cry"}, "on_failed='cry'"),
        ({"max_cost_usd": "much"}, "max_cost_usd='much'"),
        ({"warn_after": -1}, "warn_after=-1"),
        ({"on_invoke": "shout"}, "on_invoke='shout'"),
        ({"below_minimun": "error"}, "'below_minimun'"),
        ({"s3_uri": None}, "s3_uri"),
    ],
)
def test_mistakes_show_at_construction(fields: dict[str, Any], told: str) -> None:
    """A value that can't be and a misspelt argument are refused at once, by name."""
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        batch(**fields)


def test_a_model_that_no_job_takes_is_refused() -> None:
    """Provisioned throughput has no batches, and that is said at construction."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl"
    with pytest.raises(ConfigurationError, match="No invocation job takes"):
        batch(inner(arn, base_model=NOVA))


def test_a_model_id_is_enough() -> None:
    """Given an id, it makes the model, with all other arguments."""
    clients = {"client": EMULATOR.client(), "bedrock_client": EMULATOR.client("bedrock")}
    model = BedrockBatch(model=NOVA, client=clients["client"], max_tokens=7, **PLACE)

    assert isinstance(model.model, ChatBedrockOptimized)
    assert model.model.max_tokens == 7


def test_a_cache_is_its_models() -> None:
    """A cache belongs to the inner model; given by id, it gets there."""
    from langchain_core.caches import InMemoryCache

    cache = InMemoryCache()
    with pytest.raises(ConfigurationError, match="its model's cache"):
        batch(cache=cache)
    assert (
        BedrockBatch(model=NOVA, client=EMULATOR.client(), cache=cache, **PLACE).model.cache
        is cache
    )


def test_the_settings_are_those_that_were_given() -> None:
    """What was given is in the settings of runs, money as an exact number."""
    settings = batch(max_cost_usd=12.5, job_tags={"team": "a"}, tags=["traced"]).settings

    assert settings.max_cost_usd == Decimal("12.5")
    assert settings.tags == {"team": "a"}
    assert settings.s3_uri == BUCKET


def test_clients_are_made_when_they_are_needed() -> None:
    """Without clients of the user's, the control plane is the model's, and S3 is made lazily."""
    model = batch()

    assert model.services.bedrock is model.model.bedrock_client
    assert isinstance(model.services.s3, LazyClient)
    assert model.services.s3.meta.service_model.service_name == "s3"
    assert model.services.s3.meta.region_name == "us-east-1"
    assert model.services.s3 is model.services.s3


def test_clients_of_the_users_own_are_used() -> None:
    """Clients that are given are the ones that are used."""
    bedrock, s3 = object(), object()
    services = batch(bedrock_client=bedrock, s3_client=s3).services

    assert services.bedrock is bedrock
    assert services.s3 is s3


def test_it_says_of_itself_what_its_model_says() -> None:
    """Profile, id, type and tracing parameters are the inner model's."""
    model = batch(inner(HAIKU, temperature=0.5))

    assert model.profile == model.model.profile
    assert model.model_id == model.model_name == HAIKU
    assert model._llm_type == model.model._llm_type
    assert model._get_ls_params() == model.model._get_ls_params()
    assert model.asdict()["model_id"] == HAIKU
    said: list[BaseMessage] = [HumanMessage("four words of text")]
    counted = model.model.get_num_tokens_from_messages(said)
    assert model.get_num_tokens_from_messages(said) == counted


def test_it_is_not_serialized_as_something_else() -> None:
    """Serialized it says that it can't be loaded: bucket and role are nothing to guess."""
    assert dumpd(batch())["type"] == "not_implemented"


def test_a_copy_keeps_its_settings_apart() -> None:
    """`model_copy` changes the copy's settings, and the original's stay."""
    model = batch()
    copied = model.model_copy(update={"below_minimum": "error"})

    assert (model.settings.below_minimum, copied.settings.below_minimum) == ("on_demand", "error")


def test_tools_are_bound_as_the_model_binds_them() -> None:
    """`bind_tools` binds what the inner model's does, to the batch model."""
    model = batch(inner(HAIKU))
    bound = model.bind_tools([add], tool_choice="any")

    assert isinstance(bound, RunnableBinding)
    assert bound.bound is model
    expected = model.model.bind_tools([add], tool_choice="any")
    assert isinstance(expected, RunnableBinding)
    assert bound.kwargs == expected.kwargs


def test_fallbacks_can_bind_tools() -> None:
    """`with_fallbacks` finds `bind_tools` by its return annotation."""
    chain = batch(inner(HAIKU)).with_fallbacks([inner()])

    assert isinstance(chain.bind_tools([add]), Runnable)


def test_tools_are_refused_where_no_job_takes_them() -> None:
    """Binding tools to a model whose jobs take none is refused when they are bound."""
    with pytest.raises(ConfigurationError, match="Tools are bound to"):
        batch(inner(TITAN)).bind_tools([add])


def _bound_in(form: Any) -> dict[str, Any]:
    binding = form.first
    assert isinstance(binding.bound, BedrockBatch)
    return dict(binding.kwargs)


def test_structured_output_is_the_models_own_where_it_has_one() -> None:
    """On Claude it is json_schema, which Converse jobs take, and no tool."""
    kwargs = _bound_in(batch(inner(HAIKU)).with_structured_output(City))

    assert "output_config" in kwargs
    assert "tools" not in kwargs


def test_structured_output_is_a_tool_where_the_model_has_none_of_its_own() -> None:
    """On Nova it is a tool, which InvokeModel jobs take."""
    kwargs = _bound_in(batch().with_structured_output(City))

    assert "tools" in kwargs


def test_structured_output_by_a_method_is_that_method() -> None:
    """A method that is named is the one that is taken."""
    kwargs = _bound_in(batch(inner(HAIKU)).with_structured_output(City, method="function_calling"))

    assert "tools" in kwargs


@pytest.mark.parametrize("method", [None, "function_calling"])
def test_structured_output_is_refused_where_no_job_gives_it(method: str | None) -> None:
    """A model with neither is refused when the form is made, not hours later."""
    with pytest.raises(ConfigurationError, match=r"structured output|Tools are bound"):
        batch(inner(TITAN)).with_structured_output(City, method=method)


def test_the_trace_names_the_schema() -> None:
    """Who traces a structured call is told the schema as it was given, and the method."""
    told = _bound_in(batch(inner(HAIKU)).with_structured_output(City))[
        "ls_structured_output_format"
    ]

    assert told["kwargs"] == {"method": "json_schema"}
    assert told["schema"]["function"]["name"] == "City"


def test_converse_models_of_langchain_aws_will_do() -> None:
    """A plain ChatBedrockConverse is a model, too."""
    plain = ChatBedrockConverse(
        model=NOVA, client=EMULATOR.client(), bedrock_client=EMULATOR.client("bedrock")
    )

    assert batch(plain).model is plain
