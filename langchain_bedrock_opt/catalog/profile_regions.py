"""From where a cross-region inference profile may be called, and where it sends requests.

Source: AWS user guide, "Supported Regions and models for inference profiles". The tables there
differ from model to model; these are the common parts, without the opt-in regions that only some
models have, and therefore unverified against AWS for any single model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "us": ("us-east-", "us-west-", "ca-"),
    "eu": ("eu-", "il-"),
    "jp": ("ap-northeast-1", "ap-northeast-3"),
    "apac": ("ap-", "me-"),
    "au": ("ap-southeast-2", "ap-southeast-4", "ap-southeast-6"),
    "ca": ("ca-",),
    "in": ("ap-south-",),
    "us-gov": ("us-gov-",),
    "global": ("",),
    "sa": ("sa-",),
    "amer": ("us-east-", "us-west-", "ca-", "sa-", "mx-"),
}
"""Beginnings of the region names that may call a profile of each scope."""

_DESTINATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "eu": ("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"),
    "jp": ("ap-northeast-1", "ap-northeast-3"),
    "apac": (
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
    ),
    "au": ("ap-southeast-2", "ap-southeast-4"),
    "ca": ("ca-central-1", "ca-west-1"),
    "in": ("ap-south-1", "ap-south-2"),
    "us-gov": ("us-gov-east-1", "us-gov-west-1"),
    "sa": ("sa-east-1",),
    "amer": ("us-east-1", "us-east-2", "us-west-2", "ca-central-1", "sa-east-1"),
}


def may_call(scope: str, region: str) -> bool:
    """Whether a profile of this scope can be called from a region.

    Example:
        >>> (
        ...     may_call("us", "us-west-2"),
        ...     may_call("us", "eu-west-1"),
        ...     may_call("global", "sa-east-1"),
        ... )
        (True, False, True)
    """
    return region.startswith(_SOURCES.get(scope, ()))


def destinations(scope: str, region: str) -> tuple[str, ...]:
    """The regions behind a profile; an empty name stands for "any", as AWS writes it in ARNs.

    Args:
        scope: The profile's scope, such as `us` or `global`.
        region: The region that it is called from.

    Example:
        >>> destinations("us", "us-east-1")
        ('us-east-1', 'us-east-2', 'us-west-2')
        >>> destinations("global", "us-east-1")
        ('', 'us-east-1')
    """
    if scope == "global":
        # A recorded GetInferenceProfile of a profile copied from a global one lists an ARN
        # without a region first, then that of the calling region.
        return ("", region)
    return _DESTINATIONS.get(scope, (region,))
