"""What to do about a refusal, or about a job that failed, by the words that Bedrock has for it.

The words are those that users and libraries have reported; how complete they are is unverified
against AWS. A message that is not known is passed on as it is.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.errors import BatchJobError


class _Hint(NamedTuple):
    """Advice for messages in lower case that have this pattern in them."""

    pattern: str
    advice: str


# The first that fits is taken: the narrower ones come first.
_HINTS: Final = (
    _Hint(
        "iam:passrole",
        "Allow the caller iam:PassRole on the role in role_arn (with iam:PassedToService "
        "bedrock.amazonaws.com).",
    ),
    _Hint(
        "support case",
        "AWS has not opened batch inference to this account, whatever its quotas say: ask for it "
        "in a support case, or answer on demand meanwhile (without a job).",
    ),
    _Hint(
        "use case details",
        "Submit the model's use-case form in the Bedrock console, on the page of the model.",
    ),
    _Hint(
        "permissions? to invokemodel|to perform: bedrock:invokemodel",
        "Allow the service role in role_arn bedrock:InvokeModel on the model; with an inference "
        "profile, on the profile and on the model in every region of it.",
    ),
    _Hint(
        "listbucket",
        "Allow the service role in role_arn s3:ListBucket on the bucket and s3:GetObject and "
        "s3:PutObject in it; a condition on aws:ResourceOrgID keeps Bedrock out.",
    ),
    _Hint(
        # Not "assumed-role", which stands in the ARN of many a caller.
        "assume (the )?(provided |service )?role|sts:assumerole",
        "Let bedrock.amazonaws.com assume the role in role_arn: its trust policy names that "
        "service, with sts:AssumeRole.",
    ),
    _Hint(
        "invoke this api operation|to perform: bedrock:[a-z]+modelinvocationjob",
        "Allow the caller bedrock:CreateModelInvocationJob, and GetModelInvocationJob, "
        "ListModelInvocationJobs and StopModelInvocationJob.",
    ),
    _Hint(
        "model identifier is invalid",
        "Many models take jobs in a region only by an inference profile, such as 'us.…' before "
        "the id; provisioned models and prompt routers take none.",
    ),
    _Hint(
        "access to the model",
        "Ask for access to the model in the Bedrock console, in the region of the jobs.",
    ),
    _Hint(
        "minimum.*record|record.*minimum",
        "The quota 'Minimum number of records per batch inference job' is larger for this "
        "model: pass it as min_records, with another run_id.",
    ),
    _Hint(
        "maximum.*record|record.*maximum",
        "The quota 'Records per batch inference job' is smaller for this model: pass it as "
        "max_records.",
    ),
    _Hint(
        "file.*size|size.*file",
        "The quota 'Batch inference input file size' is smaller for this model: pass it as "
        "max_file_bytes.",
    ),
    _Hint(
        "bucket.*region|region.*bucket",
        "A job's bucket is in the job's region: name another bucket in s3_uri.",
    ),
)


def hint_for(message: str) -> str | None:
    """What to do about a message of Bedrock's; None if it is not known.

    A message with a hint stands for something that sending again does not mend.

    Args:
        message: The message of an error, or of a failed job.

    Example:
        >>> hint_for("Model use case details have not been submitted for this account.")
        "Submit the model's use-case form in the Bedrock console, on the page of the model."
    """
    lowered = message.lower()
    return next((hint.advice for hint in _HINTS if re.search(hint.pattern, lowered)), None)


def with_hint(message: str) -> str:
    """A message of Bedrock's as a sentence, and what to do about it."""
    sentence = f"{' '.join(message.split()).rstrip('.')}."
    hint = hint_for(message)
    return f"{sentence} {hint}" if hint else sentence


def job_failure(state: JobState) -> BatchJobError:
    """The error that a job's end stands for, with Bedrock's words and what to do.

    Args:
        state: A job that is over and has not given all answers.

    Example:
        >>> state = JobState("arn:…/abc", "nightly", "Failed", "Customer can't iam:PassRole")
        >>> print(job_failure(state).status)
        Failed
    """
    said = with_hint(state.message) if state.message else "Bedrock says no more."
    return BatchJobError(
        f"Job {state.name or state.arn} is {state.status}: {said}",
        job_arn=state.arn,
        status=state.status,
    )
