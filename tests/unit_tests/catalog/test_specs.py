"""What models can do: the rows keep their own rules and agree with recorded calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest

from langchain_bedrock_opt.catalog.model_ids import (
    PROFILE_SCOPES,
    ModelId,
    ModelIdKind,
    parse_model_id,
)
from langchain_bedrock_opt.catalog.specs import Modality, ModelSpec, known_model_ids, spec_of


def _spec(model_id: str) -> ModelSpec:
    spec = spec_of(model_id)
    assert spec is not None, model_id
    return spec


def _rows() -> list[dict[str, Any]]:
    data = files("langchain_bedrock_opt.catalog") / "data" / "models.json"
    rows: list[dict[str, Any]] = json.loads(data.read_text("utf-8"))["models"]
    return rows


@pytest.fixture(scope="module")
def answered(shared_data: Path, recordings: Callable[[str], list[dict[str, Any]]]) -> list[ModelId]:
    """The foundation models and profiles that recorded calls got an answer from."""
    names = sorted(path.stem for path in (shared_data / "wire").glob("*.jsonl"))
    ids = _answered_ids(exchange for name in names for exchange in recordings(name))
    return [parsed for parsed in map(parse_model_id, ids) if parsed.base]


def _answered_ids(exchanges: Iterable[dict[str, Any]]) -> Iterator[str]:
    for exchange in exchanges:
        url = unquote(exchange.get("request", {}).get("path", ""))
        if url.startswith("/model/") and exchange["response"]["status"] == 200:
            yield url.removeprefix("/model/").rpartition("/")[0]


def test_no_model_has_two_rows() -> None:
    """Each model stands in the table once."""
    ids = [row["id"] for row in _rows()]
    assert len(ids) == len(set(ids)) == len(known_model_ids())


def test_the_table_is_wide() -> None:
    """The table knows the providers of Bedrock, and more than a hundred models."""
    providers = {_spec(model_id).provider for model_id in known_model_ids()}
    assert len(known_model_ids()) > 110
    assert {"anthropic", "amazon", "meta", "mistral", "cohere", "openai", "qwen"} <= providers


def test_rows_are_ordered_for_readable_diffs() -> None:
    """Rows of one provider stand together, in the providers' alphabetical order."""
    providers = [row["id"].partition(".")[0] for row in _rows()]
    assert providers == sorted(providers)


@pytest.mark.parametrize("model_id", known_model_ids())
def test_every_row_keeps_the_rules(model_id: str) -> None:
    """A row has a bare id, a dated source, known words and numbers that fit each other."""
    spec = _spec(model_id)
    assert parse_model_id(model_id).kind is ModelIdKind.FOUNDATION_MODEL
    assert spec.id == model_id
    assert spec.source
    assert spec.checked >= "2026-11-22"
    assert set(spec.profile_scopes) <= set(PROFILE_SCOPES)
    assert set(spec.input_modalities) <= set(get_args(Modality))
    assert "text" in spec.input_modalities
    assert spec.output_burndown in {1, 5}
    assert (spec.max_output_tokens or 0) <= (spec.context_window or float("inf"))
    # A minimum without caching, or regions without a rule they are excepted from, say nothing.
    assert spec.prompt_caching or spec.prompt_cache_minimum is None
    assert spec.needs_profile or not spec.on_demand_regions
    assert spec.profile_scopes or not spec.needs_profile
    assert spec.kind == "chat" or not spec.tools


@pytest.mark.parametrize(
    "model_id",
    [
        "amazon.nova-2-multimodal-embeddings-v1:0",
        "anthropic.claude-3-5-haiku-20241022-v1:0",
        "cohere.embed-v4:0",
        "meta.llama3-2-1b-instruct-v1:0",
        "minimax.minimax-m2",
        "mistral.devstral-2-123b",
        "openai.gpt-oss-120b-1:0",
        "qwen.qwen3-32b-v1:0",
    ],
)
def test_models_called_by_their_bare_id_need_no_profile(model_id: str) -> None:
    """A model that has answered under its bare id is not sent to a profile."""
    assert not _spec(model_id).needs_profile


@pytest.mark.parametrize(
    "model_id",
    [
        "amazon.nova-2-lite-v1:0",
        "amazon.nova-premier-v1:0",
        "anthropic.claude-3-7-sonnet-20250219-v1:0",
        "anthropic.claude-sonnet-4-20250514-v1:0",
        "anthropic.claude-opus-5-5",
        "deepseek.r1-v1:0",
        "meta.llama4-scout-17b-instruct-v1:0",
        "mistral.pixtral-large-2502-v1:0",
        "writer.palmyra-x5-v1:0",
    ],
)
def test_models_offered_by_profile_say_so(model_id: str) -> None:
    """A model whose bare id is refused is marked, with the profiles it has instead."""
    spec = _spec(model_id)
    assert spec.needs_profile
    assert "us" in spec.profile_scopes


def test_recorded_calls_agree_with_the_table(answered: list[ModelId]) -> None:
    """Every model that a recorded call got an answer from is known, under the id it was called."""
    for parsed in answered:
        spec = _spec(parsed.raw)
        if parsed.scope is None:
            assert not spec.needs_profile, parsed.raw
        else:
            assert parsed.scope in spec.profile_scopes, parsed.raw


@pytest.mark.parametrize(
    ("model_id", "burndown"),
    [
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", 1),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", 5),
        ("anthropic.claude-opus-4-20250514-v1:0", 5),
        ("anthropic.claude-haiku-5-5", 5),
        ("amazon.nova-pro-v1:0", 1),
    ],
)
def test_output_counts_five_times_since_claude_3_7(model_id: str, burndown: int) -> None:
    """A quota is charged five tokens an output token for Claude 3.7 and later, else one."""
    assert _spec(model_id).output_burndown == burndown


@pytest.mark.parametrize(
    ("model_id", "minimum"),
    [
        ("anthropic.claude-haiku-4-5-20251001-v1:0", 4096),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 1024),
        ("anthropic.claude-sonnet-4-6", 2048),  # sources disagree: the larger one is safe
        ("anthropic.claude-sonnet-5", 1024),
        ("anthropic.claude-sonnet-5-5", 512),
        ("anthropic.claude-opus-4-5-20251101-v1:0", 4096),
        ("anthropic.claude-opus-4-7", 2048),
        ("anthropic.claude-opus-4-8", 1024),
        ("anthropic.claude-opus-5", 512),
        ("anthropic.claude-opus-5-5", 512),
        ("amazon.nova-pro-v1:0", 1024),
        ("amazon.nova-lite-v1:0", 1536),
        ("meta.llama3-3-70b-instruct-v1:0", None),
    ],
)
def test_the_shortest_prefix_that_is_cached(model_id: str, minimum: int | None) -> None:
    """The fewest tokens before a cache point depend on the model, not on its family."""
    assert _spec(model_id).prompt_cache_minimum == minimum


@pytest.mark.parametrize(
    ("model_id", "base"),
    [
        ("us.anthropic.claude-sonnet-5", "anthropic.claude-sonnet-5"),
        ("anthropic.claude-3-sonnet-20240229-v1:0:28k", "anthropic.claude-3-sonnet-20240229-v1:0"),
        ("amazon.titan-embed-text-v1:2:8k", "amazon.titan-embed-text-v1"),
        ("anthropic.claude-v2:1:200k", "anthropic.claude-v2:1"),
        ("anthropic.claude-v2:0:18k", "anthropic.claude-v2"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
        ),
        ("arn:aws:bedrock:us-west-2::foundation-model/deepseek.v3.2", "deepseek.v3.2"),
    ],
)
def test_a_spec_is_found_behind_profiles_arns_and_provisioned_variants(
    model_id: str, base: str
) -> None:
    """However a model is named, its row is found."""
    assert _spec(model_id).id == base


@pytest.mark.parametrize(
    "model_id",
    [
        "anthropic.claude-sonnet-99",
        "anthropic.claude-3-haiku-20240307-v1:7",
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghij12",
        "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1/abcdefghij12",
        "not a model",
        "",
    ],
)
def test_what_is_not_known_has_no_spec(model_id: str) -> None:
    """Neither a new model, nor a tuned one, nor nonsense gets a relative's row."""
    assert spec_of(model_id) is None
