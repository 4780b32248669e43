"""What to do about a refusal, or about a job that failed, by the words that Bedrock has for it.

The words are those that users and libraries have reported; how complete they are is unverified
against AWS. A message that is not known is passed on as it is.
"""

from __future__ import annotations

from typing import Final

from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.errors import BatchJobError

# Parts of a message in lower case, all of which have to be in it, and the advice. The first that
# fits is taken: the narrower ones come first.
_HINTS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (
        ("passrole",),
        (
            "Allow the caller iam:PassRole on the role in role_arn (with iam:PassedToService "
            "bedrock.amazonaws.com)."
        ),
    ),
    (
        ("not authorized", "support case"),
        (
            "AWS has not opened batch inference to this account, whatever its quotas say: ask "
            "for it in a support case, or answer on demand meanwhile (without a job)."
        ),
    ),
    (
        ("use case details",),
        ("Submit the model's use-case form in the Bedrock console, on the page of the model."),
    ),
    (
        ("permissions to invokemodel",),
        (
            "Allow the service role in role_arn bedrock:InvokeModel on the model; with an "
            "inference profile, on the profile and on the model in every region of it."
        ),
    ),
    (
        ("listbucket",),
        (
            "Allow the service role in role_arn s3:ListBucket on the bucket and s3:GetObject and "
            "s3:PutObject in it; a condition on aws:ResourceOrgID keeps Bedrock out."
        ),
    ),
    (
        ("assume",),
        (
            "Let bedrock.amazonaws.com assume the role in role_arn: its trust policy names that "
            "service, with sts:AssumeRole."
        ),
    ),
    (
        ("invoke this api operation",),
        (
            "Allow the caller bedrock:CreateModelInvocationJob, and GetModelInvocationJob, "
            "ListModelInvocationJobs and StopModelInvocationJob."
        ),
    ),
    (
        ("model identifier is invalid",),
        (
            "Many models take jobs in a region only by an inference profile, such as 'us.…' before "
            "the id; provisioned models and prompt routers take none."
        ),
    ),
    (
        ("access to the model",),
        ("Ask for access to the model in the Bedrock console, in the region of the jobs."),
    ),
    (
        ("toolconfig",),
        (
            "Jobs in the Converse format take no tools: let invocation be chosen by itself, or "
            "'InvokeModel'."
        ),
    ),
    (
        ("minimum",),
        (
            "The quota 'Minimum number of records per batch inference job' is larger for this "
            "model: pass it as min_records."
        ),
    ),
    (
        ("maximum", "record"),
        (
            "The quota 'Records per batch inference job' is smaller for this model: pass it as "
            "max_records."
        ),
    ),
    (
        ("size", "file"),
        (
            "The quota 'Batch inference input file size' is smaller for this model: pass it as "
            "max_file_bytes."
        ),
    ),
    (
        ("bucket", "region"),
        ("A job's bucket is in the job's region: name another bucket in s3_uri."),
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
    for parts, hint in _HINTS:
        if all(part in lowered for part in parts):
            return hint
    return None


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
