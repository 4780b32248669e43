"""The foundation models that provisioned throughput can be bought for.

Source: the AWS user guide's page "Supported Region and models for Provisioned Throughput" as
AWS's samples listed it in October 2026 (checked 2026-11-22). The listing may lag behind. Newer
models have the Reserved service tier instead, and custom models can have provisioned throughput
whatever their base.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PROVISIONED_MODELS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "amazon.nova-2-lite-v1:0:256k": ("us-east-1",),
        "amazon.nova-lite-v1:0:24k": ("us-east-1",),
        "amazon.nova-lite-v1:0:300k": ("us-east-1",),
        "amazon.nova-micro-v1:0:24k": ("us-east-1",),
        "amazon.nova-micro-v1:0:128k": ("us-east-1",),
        "amazon.nova-pro-v1:0:24k": ("us-east-1", "eu-west-2"),
        "amazon.nova-pro-v1:0:300k": ("us-east-1", "eu-west-2"),
        "amazon.titan-embed-image-v1:0": (),
        "amazon.titan-embed-text-v1:2:8k": (),
        "anthropic.claude-3-haiku-20240307-v1:0:48k": ("ap-south-1",),
        "anthropic.claude-3-sonnet-20240229-v1:0:28k": ("ap-south-1",),
        "cohere.embed-english-v3:0:512": (),
        "cohere.embed-multilingual-v3:0:512": (),
        "meta.llama3-1-8b-instruct-v1:0:128k": ("us-west-2",),
        "meta.llama3-1-70b-instruct-v1:0:128k": ("us-west-2",),
    }
)
"""Regions by the model id to buy with, a variant that names its context length. No regions: the
listing has several."""


def offers_provisioned(model_id: str, region: str) -> bool:
    """Whether provisioned throughput can be bought for a foundation model, as far as is known.

    Args:
        model_id: The bare id to buy with.
        region: The region to buy in.

    Example:
        >>> offers_provisioned("amazon.nova-lite-v1:0:300k", "us-east-1")
        True
        >>> offers_provisioned("amazon.nova-lite-v1:0", "us-east-1")  # names no context length
        False
    """
    regions = PROVISIONED_MODELS.get(model_id)
    return regions is not None and (not regions or region in regions)
