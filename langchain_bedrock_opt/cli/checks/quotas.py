"""Checks of quotas: how many tokens and requests a minute the account has of each model.

Service Quotas names its quotas in English, "Cross-region model inference tokens per minute for
Anthropic Claude Opus 4.8"; they are found by these words. Unverified against AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.catalog.model_ids import ModelId, parse_model_id
from langchain_bedrock_opt.cli.checks.bench import Bench
from langchain_bedrock_opt.cli.checks.finding import Finding
from langchain_bedrock_opt.cli.checks.models import unknown
from langchain_bedrock_opt.errors import ModelIdError

_NAME: Final = re.compile(
    r"(?P<way>On-demand|Cross-region|Global cross-region) model inference "
    r"(?P<what>tokens|requests) per minute for (?P<model>.+)",
    re.IGNORECASE,
)
_WORDS: Final = re.compile(r"[a-z0-9]+(?:\.[0-9]+)*")
_WAYS: Final[Mapping[str | None, str]] = {None: "on-demand", "global": "global cross-region"}
"""What quotas call a scope; all others are `cross-region`."""


class _Quota(NamedTuple):
    """A quota of a model.

    Attributes:
        way: `on-demand`, `cross-region` or `global cross-region`.
        what: `tokens` or `requests`.
        words: The words of the model's name, its provider's among them.
        value: A minute.
    """

    way: str
    what: str
    words: frozenset[str]
    value: float


def quotas(bench: Bench) -> Iterator[Finding]:
    """Each model's tokens and requests a minute."""
    if bench.is_offline or not bench.models:
        return
    try:
        listed = list(_listed(bench))
    except BOTOCORE_ERRORS as error:
        yield unknown("quotas", "Service Quotas", error, "servicequotas:ListServiceQuotas")
        return
    for text in bench.models:
        try:
            model = parse_model_id(text)
        except ModelIdError:
            continue  # which another check tells
        if model.base is not None:
            yield _look(bench, model, listed)


def _look(bench: Bench, model: ModelId, listed: list[_Quota]) -> Finding:
    """What is found of a model among the quotas."""
    try:
        answer = bench.ask("bedrock", "get_foundation_model", modelIdentifier=model.base)
    except BOTOCORE_ERRORS as error:
        return unknown("quotas", model.raw, error, "bedrock:GetFoundationModel")
    details = answer["modelDetails"]
    provider = _words(details.get("providerName", ""))
    name = _words(details.get("modelName", "")) - provider
    way = _WAYS.get(model.scope, "cross-region")
    return _finding(model, [q for q in listed if q.way == way and q.words - provider == name])


def _finding(model: ModelId, found: list[_Quota]) -> Finding:
    if not found:
        return Finding(
            check="quotas",
            status="unknown",
            said=f"{model.raw}: no quota of that name",
            fix="Look it up in the Service Quotas console, under Amazon Bedrock.",
        )
    values = ", ".join(f"{quota.value:,.0f} {quota.what} a minute" for quota in found)
    is_empty = any(quota.value == 0 for quota in found)
    return Finding(
        check="quotas",
        status="failure" if is_empty else "ok",
        said=f"{model.raw}: {values}",
        fix="Ask for more in the Service Quotas console; new accounts may have none."
        if is_empty
        else "",
    )


def _listed(bench: Bench) -> Iterator[_Quota]:
    request: dict[str, Any] = {"ServiceCode": "bedrock", "MaxResults": 100}
    while True:
        page = bench.ask("service-quotas", "list_service_quotas", **request)
        for each in page["Quotas"]:
            if quota := _read(each):
                yield quota
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def _read(quota: Mapping[str, Any]) -> _Quota | None:
    match = _NAME.fullmatch(quota["QuotaName"])
    if match is None:
        return None
    words = _words(match["model"])
    return _Quota(match["way"].lower(), match["what"].lower(), words, float(quota["Value"]))


def _words(text: str) -> frozenset[str]:
    # A first version is named in some places only.
    return frozenset(_WORDS.findall(text.lower())) - {"v1"}
