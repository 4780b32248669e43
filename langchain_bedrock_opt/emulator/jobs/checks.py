"""What Bedrock checks while a job is Validating: files, lines, counts; never a record's body.

Texts are unverified against AWS.
"""

from __future__ import annotations

import orjson

from langchain_bedrock_opt.emulator.jobs.settings import JobQuotas
from langchain_bedrock_opt.emulator.jobs.storage import InputFile, Storage, lines_of
from langchain_bedrock_opt.emulator.jobs.work import CountedFile
from langchain_bedrock_opt.emulator.types import ServiceFailure


def checked_input(
    storage: Storage, input_uri: str, output_uri: str, region: str, quotas: JobQuotas
) -> list[CountedFile]:
    """Read a job's input, and check it.

    Args:
        storage: S3.
        input_uri: The `.jsonl` object or the folder of them.
        output_uri: Where output is to go.
        region: The job's region, where its buckets must be.
        quotas: What a job may be.

    Raises:
        ServiceFailure: The job fails, with this message.
    """
    storage.check_bucket(input_uri, "ListBucket", region)
    storage.check_bucket(output_uri, "PutObject", region)
    files = storage.input_files(input_uri)
    if not files:
        raise _refused(f"no .jsonl file was found at {input_uri}")
    _check_sizes(files, quotas)
    counted: list[CountedFile] = []
    try:
        for file in files:
            spool = storage.fetch(input_uri, file)
            counted.append(CountedFile(file.name, spool, 0))
            counted[-1] = counted[-1]._replace(records=_count(counted[-1], quotas))
        _check_count(sum(file.records for file in counted), quotas)
    except ServiceFailure:
        for known in counted:
            known.spool.close()
        raise
    return counted


def _check_sizes(files: list[InputFile], quotas: JobQuotas) -> None:
    for file in files:
        if file.size > quotas.max_file_bytes:
            raise _refused(
                f"the file {file.name} has {file.size} bytes, more than the maximum of "
                f"{quotas.max_file_bytes}"
            )
    total = sum(file.size for file in files)
    if total > quotas.max_job_bytes:
        raise _refused(
            f"the input has {total} bytes, more than the maximum of {quotas.max_job_bytes} for a "
            "job"
        )


def _count(file: CountedFile, quotas: JobQuotas) -> int:
    records = 0
    for number, line in enumerate(lines_of(file.spool), 1):
        if not _is_record(line):
            raise _refused(f"line {number} of the file {file.name} is not a record in JSON")
        records = number
    if records > quotas.max_file_records:
        raise _refused(
            f"the file {file.name} has {records} records, more than the maximum of "
            f"{quotas.max_file_records} for a file"
        )
    return records


def _check_count(records: int, quotas: JobQuotas) -> None:
    if records < quotas.min_records:
        raise _refused(
            f"the input has {records} records, fewer than the minimum of {quotas.min_records}"
        )
    if records > quotas.max_records:
        raise _refused(
            f"the input has {records} records, more than the maximum of {quotas.max_records} for "
            "a job"
        )


def _is_record(line: bytes) -> bool:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return (
        isinstance(record, dict)
        and isinstance(record.get("modelInput"), dict)
        and isinstance(record.get("recordId", ""), str)
    )


def _refused(reason: str) -> ServiceFailure:
    return ServiceFailure("ValidationException", f"Input validation failed: {reason}.")
