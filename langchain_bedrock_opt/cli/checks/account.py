"""Checks of the account: region, credentials, and the clock that signatures go by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from langchain_bedrock_opt.aws.clients import found_credentials, known_regions
from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.aws.trouble import trouble_of
from langchain_bedrock_opt.cli.checks.bench import Bench, in_brief
from langchain_bedrock_opt.cli.checks.finding import Finding
from langchain_bedrock_opt.cli.checks.machine import redirections
from langchain_bedrock_opt.errors import ConfigurationError

_BEARER: Final = "AWS_BEARER_TOKEN_BEDROCK"
_REFUSED_SKEW: Final = 300.0
"""Seconds by which AWS lets a signature's time be wrong."""
_NOTED_SKEW: Final = 60.0


def region(bench: Bench) -> Iterator[Finding]:
    """Whether a region is set, and Bedrock is there."""
    try:
        client = bench.client("bedrock-runtime")
    except ConfigurationError as error:
        yield Finding(
            check="region",
            status="failure",
            said=str(error),
            fix="Set AWS_REGION, or say --region us-east-1 (or yours).",
        )
        return
    name = client.meta.region_name
    regions = known_regions(partition=client.meta.partition)
    if regions and name not in regions:
        yield Finding(
            check="region",
            status="warning",
            said=f"boto3 knows of no Amazon Bedrock in {name}",
            fix="Check the name; for a new region: pip install --upgrade boto3",
        )
        return
    yield Finding(check="region", status="ok", said=name)


def credentials(bench: Bench) -> Iterator[Finding]:
    """Whether there are credentials, whose they are, and whether they still hold."""
    try:
        source = found_credentials()
    except BOTOCORE_ERRORS as error:
        yield _invalid(f"they can't be loaded: {in_brief(error)}")
        return
    if source is None:
        yield Finding(
            check="credentials",
            status="failure",
            said="there are none",
            fix="Run `aws configure` or `aws sso login`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY.",
        )
    elif bench.is_offline:
        yield Finding(check="credentials", status="ok", said=f"found in {source}, not tried")
    elif source == _BEARER:
        yield Finding(
            check="credentials",
            status="ok",
            said=f"an API key of Bedrock's in {_BEARER}; only a call tries it (--call)",
        )
    else:
        yield _identity(bench, source)


def _identity(bench: Bench, source: str) -> Finding:
    try:
        answer = bench.ask("sts", "get_caller_identity")
    except ConfigurationError:  # of the region, which has been told
        said = f"found in {source}, not tried without a region"
        return Finding(check="credentials", status="unknown", said=said)
    except BOTOCORE_ERRORS as error:
        # Everybody may ask STS this, so a refusal is about the credentials.
        trouble = trouble_of(error)
        if trouble == "credentials":
            return _invalid("they have expired")
        if trouble == "refused":
            return _invalid(f"AWS does not take them: {in_brief(error)}")
        return Finding(
            check="credentials",
            status="unknown",
            said=f"found in {source}; STS could not be asked whose they are: {in_brief(error)}",
            fix="Check the network, proxies (HTTPS_PROXY) and VPC endpoints.",
        )
    return Finding(check="credentials", status="ok", said=f"{answer['Arn']}, found in {source}")


def _invalid(why: str) -> Finding:
    return Finding(
        check="credentials",
        status="failure",
        said=why,
        fix="Renew them: `aws sso login`, or new keys with `aws configure`.",
    )


def clock(bench: Bench) -> Iterator[Finding]:
    """Whether this machine's clock agrees with AWS's, by the answers so far."""
    whose = "the endpoint's" if redirections() else "AWS's"
    if not bench.skews:
        yield Finding(check="clock", status="unknown", said="no answer said what time it is")
        return
    skew = min(bench.skews, key=abs)
    if abs(skew) < _NOTED_SKEW:
        yield Finding(check="clock", status="ok", said=f"agrees with {whose}")
        return
    way = "ahead of" if skew > 0 else "behind"
    yield Finding(
        check="clock",
        status="failure" if abs(skew) >= _REFUSED_SKEW else "warning",
        said=f"{abs(skew):.0f} seconds {way} {whose}; AWS refuses signatures from "
        f"{_REFUSED_SKEW:.0f} on",
        fix="Set the clock by NTP: timedatectl set-ntp true",
    )
