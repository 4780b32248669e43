"""Admission control: no more is sent to Bedrock than its quota takes.

`requests` reads what a call asks of a quota and what it spent, `bucket` says how much may go now,
`line` has calls wait their turn. Start at `quota.TokenQuota`.
"""

from langchain_bedrock_opt.capacity.admission.quota import TokenQuota

__all__ = ["TokenQuota"]
