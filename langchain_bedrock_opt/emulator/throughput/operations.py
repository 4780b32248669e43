"""The operations of `bedrock` that are about provisioned throughput."""

from __future__ import annotations

from collections.abc import Mapping

from langchain_bedrock_opt.emulator.control import plain, regional
from langchain_bedrock_opt.emulator.engine import Operation
from langchain_bedrock_opt.emulator.throughput.service import ThroughputService


def throughput_operations(throughput: ThroughputService) -> Mapping[str, Operation]:
    """The operations by their name in botocore's model.

    Args:
        throughput: The throughputs they are about.
    """
    return {
        "CreateProvisionedModelThroughput": regional(throughput.create),
        "DeleteProvisionedModelThroughput": plain(throughput.delete),
        "GetProvisionedModelThroughput": plain(throughput.get),
        "ListProvisionedModelThroughputs": plain(throughput.list_throughputs),
        "UpdateProvisionedModelThroughput": regional(throughput.update),
        "ListTagsForResource": plain(throughput.tags),
        "TagResource": plain(throughput.tag),
        "UntagResource": plain(throughput.untag),
    }
