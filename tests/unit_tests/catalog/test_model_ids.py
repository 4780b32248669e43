"""Model ids and ARNs: every form that Bedrock takes is understood, everything else is refused."""

from __future__ import annotations

import re

import pytest
from botocore.loaders import Loader
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.model_ids import (
    MAX_LENGTH,
    PROFILE_SCOPES,
    ModelIdKind,
    parse_model_id,
)
from langchain_bedrock_opt.errors import ModelIdError

ACCOUNT = "123456789012"
ARN = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"

FOUNDATION_IDS = [
    HAIKU,
    "anthropic.claude-v2",
    "anthropic.claude-v2:1",
    "anthropic.claude-sonnet-5",
    "anthropic.claude-opus-4-6-v1",
    "amazon.titan-tg1-large",
    "deepseek.v3.2",
    "google.gemma-3-27b-it",
    "minimax.minimax-m2.5",
    "mistral.mistral-7b-instruct-v0:2",
    "openai.gpt-5.6-luna",
    "openai.gpt-oss-120b-1:0",
    "zai.glm-4.7-flash",
    "acme.frontier-v9",
]

PROVISIONED_VARIANTS = [
    "anthropic.claude-3-sonnet-20240229-v1:0:28k",
    "amazon.titan-embed-text-v1:2:8k",
    "meta.llama4-scout-17b-instruct-v1:0:10m",
    "cohere.embed-english-v3:0:512",
]

OPAQUE_ARNS = {
    ModelIdKind.APPLICATION_INFERENCE_PROFILE: f"{ARN}application-inference-profile/mi1dadi0g15f",
    ModelIdKind.PROVISIONED_MODEL: f"{ARN}provisioned-model/abcdefghij12",
    ModelIdKind.CUSTOM_MODEL: f"{ARN}custom-model/amazon.nova-lite-v1/abcdefghij12",
    ModelIdKind.CUSTOM_MODEL_DEPLOYMENT: f"{ARN}custom-model-deployment/abcdefghij12",
    ModelIdKind.IMPORTED_MODEL: f"{ARN}imported-model/abcdefghij12",
    ModelIdKind.PROMPT_ROUTER: f"{ARN}prompt-router/abcdefghij12",
    ModelIdKind.DEFAULT_PROMPT_ROUTER: f"{ARN}default-prompt-router/anthropic.claude:1",
    ModelIdKind.PROMPT: f"{ARN}prompt/ABCDE12345:3",
    ModelIdKind.MARKETPLACE_ENDPOINT: f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/my-llm",
}

NAMING_ARNS = {
    ModelIdKind.FOUNDATION_MODEL: f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}",
    ModelIdKind.INFERENCE_PROFILE: f"{ARN}inference-profile/us.{HAIKU}",
}


@pytest.fixture(scope="module")
def conversational_model_id() -> re.Pattern[str]:
    model = Loader().load_service_model("bedrock-runtime", "service-2")
    return re.compile(model["shapes"]["ConversationalModelId"]["pattern"])


@pytest.mark.parametrize("model_id", FOUNDATION_IDS)
def test_a_bare_id_is_a_foundation_model(model_id: str) -> None:
    """A bare id points at a foundation model and is its own base."""
    parsed = parse_model_id(model_id)
    assert parsed.kind is ModelIdKind.FOUNDATION_MODEL
    assert (parsed.base, parsed.scope, parsed.region) == (model_id, None, None)
    assert parsed.provider == model_id.partition(".")[0]


@pytest.mark.parametrize("model_id", PROVISIONED_VARIANTS)
def test_a_context_length_suffix_is_part_of_the_base(model_id: str) -> None:
    """A provisioned variant such as `…-v1:0:28k` parses as it stands."""
    assert parse_model_id(model_id).base == model_id


@pytest.mark.parametrize("scope", PROFILE_SCOPES)
@pytest.mark.parametrize("model_id", FOUNDATION_IDS)
def test_a_scope_in_front_makes_it_an_inference_profile(scope: str, model_id: str) -> None:
    """A profile id gives the scope and the model it stands for, also for `in.` and `ca.`."""
    parsed = parse_model_id(f"{scope}.{model_id}")
    assert parsed.kind is ModelIdKind.INFERENCE_PROFILE
    assert (parsed.scope, parsed.base) == (scope, model_id)


def test_a_geography_newer_than_this_release_is_still_a_scope() -> None:
    """An unknown prefix before a known provider is a profile, not a provider of its own."""
    parsed = parse_model_id(f"mx.{HAIKU}")
    assert (parsed.scope, parsed.base, parsed.provider) == ("mx", HAIKU, "anthropic")


@pytest.mark.parametrize(("kind", "arn"), NAMING_ARNS.items())
def test_an_arn_that_names_its_model_gives_it_away(kind: ModelIdKind, arn: str) -> None:
    """ARNs of foundation models and inference profiles say which model they stand for."""
    parsed = parse_model_id(arn)
    assert (parsed.kind, parsed.base, parsed.region) == (kind, HAIKU, "us-east-1")
    assert parsed.scope == ("us" if kind is ModelIdKind.INFERENCE_PROFILE else None)


@pytest.mark.parametrize(("kind", "arn"), OPAQUE_ARNS.items())
def test_an_arn_that_hides_its_model_has_no_base(kind: ModelIdKind, arn: str) -> None:
    """Behind the other ARNs only the control plane knows the model, so nothing is guessed."""
    parsed = parse_model_id(arn)
    assert parsed.kind is kind
    assert (parsed.base, parsed.provider, parsed.scope) == (None, None, None)
    assert parsed.region == "us-east-1"


def test_every_kind_has_an_example() -> None:
    """The examples above leave out none of the kinds an id may have."""
    assert {*NAMING_ARNS, *OPAQUE_ARNS} == set(ModelIdKind)


@pytest.mark.parametrize("arn", [*NAMING_ARNS.values(), *OPAQUE_ARNS.values()])
def test_the_examples_are_ones_the_sdk_accepts(
    arn: str, conversational_model_id: re.Pattern[str]
) -> None:
    """Each ARN above matches the pattern of Converse's `modelId` in the installed SDK."""
    assert conversational_model_id.fullmatch(arn)


def test_every_arn_kind_of_the_sdks_pattern_parses(
    conversational_model_id: re.Pattern[str],
) -> None:
    """No kind of ARN in the installed SDK's pattern is unknown here."""
    # `…:foundation-model/…`, `(inference-profile|application-inference-profile)/`, and the one
    # optional word in `(default-)?prompt-router/`.
    kinds = set(re.findall(r"[a-z]+(?:-[a-z]+)*(?=\)?/|\|)", conversational_model_id.pattern))
    assert {*kinds, "default-prompt-router"} == {kind.value for kind in ModelIdKind}


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn", "aws-iso-b", "aws-eusc"])
@pytest.mark.parametrize("kind", sorted(ModelIdKind, key=str))
def test_other_partitions_parse_like_the_commercial_one(partition: str, kind: ModelIdKind) -> None:
    """GovCloud, China and the isolated partitions have the same ARNs."""
    arn = (NAMING_ARNS | OPAQUE_ARNS)[kind].replace("arn:aws:", f"arn:{partition}:")
    assert parse_model_id(arn).kind is kind


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:bedrock:::inference-profile/global.{HAIKU}",
        f"arn:aws:bedrock:::foundation-model/{HAIKU}",
    ],
)
def test_an_arn_without_a_region_parses(arn: str) -> None:
    """What a global profile spans has no region in its ARN."""
    parsed = parse_model_id(arn)
    assert (parsed.base, parsed.region) == (HAIKU, None)


def test_a_profile_arn_with_an_opaque_name_has_no_base() -> None:
    """An inference profile whose name is not a model id is accepted, and nothing is guessed."""
    assert parse_model_id(f"{ARN}inference-profile/abcdefghij12").base is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "anthropic.",
        ".claude",
        "-.claude",
        "claude-3-haiku",
        f" {HAIKU}",
        f"{HAIKU}\n",
        f"bedrock/{HAIKU}",
        "anthropic.claude v2",
        "anthropic.claude_v2",
        "anthropic.クロード",
        "amazon.nova-lite-v1:0:28k:x",
        "arn:",
        "arn:aws:s3:::bucket/key",
        "arn:aws:bedrock:us-east-1::foundation-model/",
        "arn:aws:bedrock:us-east-1::foundation-model/claude",
        f"{ARN}guardrail/abcdefghij12",
        f"{ARN}endpoint/my-llm",
        f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:imported-model/abcdefghij12",
        "arn:aws:bedrock:us-east-1:12:provisioned-model/abcdefghij12",
        f"{ARN}provisioned-model/abc def",
    ],
)
def test_what_cannot_be_an_id_is_refused_by_name(text: str) -> None:
    """A text that Bedrock would refuse fails at once, with the text in the message."""
    with pytest.raises(ModelIdError, match=re.escape(repr(text)[:60])):
        parse_model_id(text)


@pytest.mark.parametrize("text", ["a." * 5_000_000, "arn:aws:bedrock:" + "a" * 10_000_000])
def test_a_document_passed_by_mistake_is_refused_shortly(text: str) -> None:
    """Ten megabytes are refused without being repeated in the message."""
    with pytest.raises(ModelIdError, match=f"at most {MAX_LENGTH}") as caught:
        parse_model_id(text)
    assert len(str(caught.value)) < 300


def test_a_long_refused_text_is_cut_in_the_message() -> None:
    """A refused text of a permitted length is shown by its beginning only."""
    with pytest.raises(ModelIdError) as caught:
        parse_model_id("x" * MAX_LENGTH)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("length", "accepted"), [(MAX_LENGTH, True), (MAX_LENGTH + 1, False)])
def test_the_longest_id_is_bedrocks_longest(length: int, *, accepted: bool) -> None:
    """An id of exactly the length Bedrock takes parses, and one character more does not."""
    text = "acme.".ljust(length, "x")
    if accepted:
        assert parse_model_id(text).raw == text
    else:
        with pytest.raises(ModelIdError):
            parse_model_id(text)


@given(
    st.one_of(
        st.text(),
        st.text(alphabet="ab.:/-arn0 \n"),
        st.builds("arn:aws:{}:{}:{}:{}/{}".format, *[st.text(max_size=12)] * 5),
        st.from_regex(r"arn:aws:bedrock:[a-z0-9-]*:(\d{12})?:[a-z-]+/.*"),
    )
)
@example(
    "arn:aws:bedrock:us-east-1:１２３４５６７８９０１２:prompt/ABCDE12345"
)  # full-width digits
@example("\ud800")
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Whatever is passed, the outcome is a parsed id or a `ModelIdError`, never another error."""
    try:
        parsed = parse_model_id(text)
    except ModelIdError:
        return
    assert parsed.raw == text


@given(
    scope=st.none() | st.sampled_from(PROFILE_SCOPES),
    provider=st.from_regex(r"[a-z0-9][a-z0-9-]{0,19}", fullmatch=True).filter(
        lambda provider: provider not in PROFILE_SCOPES
    ),
    model=st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}(:[a-z0-9]{1,4}){0,2}", fullmatch=True),
    as_arn=st.booleans(),
)
def test_scope_and_base_make_up_the_id(
    scope: str | None, provider: str, model: str, *, as_arn: bool
) -> None:
    """Scope and base, put together again, are the id that went in."""
    given_id = f"{scope}.{provider}.{model}" if scope else f"{provider}.{model}"
    text = f"{ARN}inference-profile/{given_id}" if as_arn else given_id
    parsed = parse_model_id(text)
    assert parsed.raw == text
    assert (parsed.scope, parsed.base, parsed.provider) == (scope, f"{provider}.{model}", provider)
