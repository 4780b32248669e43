"""The operations of `bedrock` that are about provisioned throughput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from langchain_bedrock_opt.catalog.model_ids import ModelIdKind
from langchain_bedrock_opt.emulator.control import RegionalAnswer, regional
from langchain_bedrock_opt.emulator.engine import Operation, Parts, Visit, not_served
from langchain_bedrock_opt.emulator.throughput.service import ThroughputService
from langchain_bedrock_opt.emulator.types import HttpResponse

_PROVISIONED: Final = f":{ModelIdKind.PROVISIONED_MODEL.value}/"


def throughput_operations(throughput: ThroughputService) -> Mapping[str, Operation]:
    """The operations by their name in botocore's model.

    Args:
        throughput: The throughputs they are about.
    """
    return {
        "CreateProvisionedModelThroughput": regional(throughput.create),
        "DeleteProvisionedModelThroughput": regional(throughput.delete),
        "GetProvisionedModelThroughput": regional(throughput.get),
        "ListProvisionedModelThroughputs": regional(throughput.list_throughputs),
        "UpdateProvisionedModelThroughput": regional(throughput.update),
        "ListTagsForResource": _tagging(throughput.tags),
        "TagResource": _tagging(throughput.tag),
        "UntagResource": _tagging(throughput.untag),
    }


def _tagging(answer: RegionalAnswer) -> Operation:
    """An operation on tags: those of other resources are not kept here."""
    operation = regional(answer)

    def tag(parts: Parts, visit: Visit) -> HttpResponse:
        if _PROVISIONED in visit.call.params["resourceARN"]:
            return operation(parts, visit)
        return not_served(visit.call.operation, "It keeps tags of provisioned throughputs only.")

    return tag
