"""A folder in S3: what a job takes as its URI, documents, listings, errors that say the fix."""

from __future__ import annotations

import re
from functools import lru_cache
from uuid import uuid4

import pytest
from botocore.exceptions import NoCredentialsError
from botocore.session import get_session
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.jobs.preflight import check_bucket
from langchain_bedrock_opt.errors import BatchStorageError, ConfigurationError
from tests.batch_service import BatchService, make_batch_service
from tests.faulty_clients import FaultyClient, no_connection, service_says


@pytest.fixture(scope="module")
def service() -> BatchService:
    return make_batch_service()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def s3(service: BatchService) -> FaultyClient:
    return FaultyClient(service.s3)


@pytest.fixture
def folder(service: BatchService, s3: FaultyClient, slept: list[float]) -> S3Folder:
    return S3Folder(s3, f"s3://{service.bucket}/{uuid4().hex}/", sleep=slept.append)


@lru_cache
def bedrocks_pattern() -> re.Pattern[str]:
    shape = get_session().get_service_model("bedrock").shape_for("S3Uri")
    return re.compile(shape.metadata["pattern"])


@given(text=st.text("abzA09-_.*'()!/ +=é", max_size=30))
@example("dt=2026-01-01/")
@example("a//b")
@example("/a")
def test_a_folder_takes_what_a_job_takes(text: str) -> None:
    """A prefix is taken if botocore's own pattern takes it, and refused if not."""
    uri = f"s3://my-bucket/{text}"
    fits = bedrocks_pattern().fullmatch(uri) is not None

    if fits:
        assert bedrocks_pattern().fullmatch(S3Folder(None, uri).uri)
    else:
        with pytest.raises(ConfigurationError, match="s3_uri="):
            S3Folder(None, uri)


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("bucket/prefix", "is not an S3 URI"),
        ("https://bucket.s3.amazonaws.com/x", "is not an S3 URI"),
        ("s3://", "'' is no name of a bucket"),
        ("s3://My_Bucket/x", "'My_Bucket' is no name of a bucket"),
        ("s3://my-bucket/dt=2026-01-01/x", "the part 'dt=2026-01-01' has '='"),
        ("s3://my-bucket/a b/x+y", "the part 'a b' has ' '"),
        ("s3://my-bucket//x", "it has an empty part"),
        ("s3://my-bucket/" + "x" * 1010, "1026 characters, and a job takes 1024"),
    ],
)
def test_a_uri_that_no_job_takes_is_refused_at_once(uri: str, names: str) -> None:
    """A URI that Bedrock would refuse after an upload is refused before it, by its part."""
    with pytest.raises(ConfigurationError, match=re.escape(names)):
        S3Folder(None, uri)


def test_folders_lie_in_folders() -> None:
    """A bucket alone will do, and names are put together with one slash."""
    runs = S3Folder(None, "s3://my-bucket").child("runs")

    assert runs.uri == "s3://my-bucket/runs/"
    assert runs.child("nightly/stage-0/").uri == "s3://my-bucket/runs/nightly/stage-0/"
    assert runs.uri_of("0.jsonl") == "s3://my-bucket/runs/0.jsonl"
    with pytest.raises(ConfigurationError, match="a b"):
        runs.child("a b")
    with pytest.raises(ConfigurationError, match="'='"):
        runs.uri_of("x=1.jsonl")


def test_a_document_is_read_as_it_was_written(folder: S3Folder) -> None:
    """A document comes back as it is; one that is not there is None."""
    assert folder.get_json("run.json") is None
    assert not folder.exists("run.json")

    assert folder.put_json("run.json", {"version": 1, "name": "夜"})

    assert folder.get_json("run.json") == {"version": 1, "name": "夜"}
    assert folder.exists("run.json")


def test_of_two_who_write_first_one_does(folder: S3Folder) -> None:
    """With `if_absent` the second writer is told so and changes nothing."""
    assert folder.put_json("run.json", {"by": "one"}, if_absent=True)
    assert not folder.put_json("run.json", {"by": "two"}, if_absent=True)
    assert folder.get_json("run.json") == {"by": "one"}


def test_a_document_that_somebody_spoiled_is_named(folder: S3Folder) -> None:
    """A state that is no JSON object is an error with its URI."""
    for body in (b"{cut o", b"[1]", b""):
        folder.put_bytes("run.json", body)
        with pytest.raises(BatchStorageError, match=re.escape(f"{folder.uri}run.json is not")):
            folder.get_json("run.json")


def test_listings_have_all_pages(folder: S3Folder, s3: FaultyClient) -> None:
    """All objects under a prefix are listed, over several pages, by their names."""
    for number in range(5):
        folder.put_bytes(f"out/{number}.jsonl", b"x" * number)
    folder.put_bytes("other", b"")
    listing = s3.__getattr__("list_objects_v2")
    s3.__dict__["list_objects_v2"] = lambda **request: listing(**request, MaxKeys=2)

    found = list(folder.list("out/"))

    assert [(item.name, item.size) for item in found] == [(f"out/{n}.jsonl", n) for n in range(5)]
    assert s3.calls["list_objects_v2"] == 3
    assert len(list(folder.list())) == 6


def test_a_deleted_object_is_gone(folder: S3Folder) -> None:
    """Deleting works, also of what is not there."""
    folder.put_bytes("x", b"1")

    folder.delete("x")
    folder.delete("x")

    assert folder.get_bytes("x") is None


def test_throttles_and_outages_are_waited_for(
    folder: S3Folder, s3: FaultyClient, slept: list[float]
) -> None:
    """A slow-down, a 500 and a network that is down cost time and nothing else."""
    s3.fail("put_object", service_says("SlowDown", 503), no_connection())
    s3.fail("get_object", service_says("InternalError", 500), service_says("RequestTimeout"))

    assert folder.put_json("run.json", {"version": 1})
    assert folder.get_json("run.json") == {"version": 1}

    assert len(slept) == 4


def test_an_outage_that_does_not_end_is_an_error(
    folder: S3Folder, s3: FaultyClient, slept: list[float]
) -> None:
    """After a minute or so a call that goes on failing is an error with the URI."""
    s3.fail("head_object", *[service_says("503", 503)] * 20)

    with pytest.raises(BatchStorageError, match=re.escape(f"{folder.uri}x failed: 503")):
        folder.exists("x")

    assert 45.75 <= sum(slept) <= 91.5  # eight waits, each of between half and all of its time


@pytest.mark.parametrize(
    ("operation", "error", "says"),
    [
        ("put_object", service_says("AccessDenied", 403), "allow s3:PutObject on it"),
        ("put_object", service_says("NoSuchBucket", 404), "create it in the region of the jobs"),
        ("put_object", service_says("ExpiredToken", 400), "renew them .such as by `aws sso login`"),
        (
            "put_object",
            service_says("PermanentRedirect", 301, **{"x-amz-bucket-region": "eu-west-1"}),
            "is in eu-west-1: a job's bucket is in the job's region",
        ),
        ("put_object", NoCredentialsError(), "There are no AWS credentials for .*`aws configure`"),
        ("put_object", service_says("KMS.DisabledException", 400), "KMS.DisabledException: Said"),
    ],
)
def test_errors_say_what_to_do(
    folder: S3Folder, s3: FaultyClient, operation: str, error: Exception, says: str
) -> None:
    """What S3 refuses is one line with the URI and the fix, and is not tried again."""
    s3.fail(operation, error)

    with pytest.raises(BatchStorageError, match=says) as caught:
        folder.put_json("run.json", {})

    assert f"{folder.uri}run.json" in str(caught.value)
    assert s3.calls[operation] == 1


def test_the_owner_and_the_key_go_with_each_call(service: BatchService, s3: FaultyClient) -> None:
    """A bucket of another account is named with its owner; what is written is encrypted."""
    uri = f"s3://{service.bucket}/x/"
    folder = S3Folder(s3, uri, bucket_owner="123456789012", kms_key_id="alias/batch").child("y")

    folder.put_json("run.json", {})
    folder.get_json("run.json")

    (put,), (get,) = s3.requests["put_object"], s3.requests["get_object"]
    assert put["ExpectedBucketOwner"] == get["ExpectedBucketOwner"] == "123456789012"
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", "alias/batch")
    assert put["Key"] == "x/y/run.json"


def test_the_bucket_is_looked_at_before_an_upload(service: BatchService, folder: S3Folder) -> None:
    """A bucket that is there, in the region of the jobs, passes; one that is not is named."""
    check_bucket(folder, service.bedrock)

    missing = S3Folder(service.s3, "s3://no-such-bucket-1")
    with pytest.raises(BatchStorageError, match="There is no bucket 'no-such-bucket-1'"):
        check_bucket(missing, service.bedrock)


def test_a_bucket_in_another_region_is_refused(service: BatchService) -> None:
    """A bucket in another region than the jobs is refused before anything is uploaded."""
    abroad = BedrockEmulator(region="eu-west-1").client("bedrock")
    folder = S3Folder(service.s3, f"s3://{service.bucket}/")

    with pytest.raises(BatchStorageError, match="is in us-east-1 and the jobs are made in eu-west"):
        check_bucket(folder, abroad)


def test_a_bucket_that_may_not_be_seen_is_refused(folder: S3Folder, s3: FaultyClient) -> None:
    """Without the permission to list the bucket the error says which one is missing."""
    s3.fail("head_bucket", service_says("403", 403, "Forbidden"))

    with pytest.raises(BatchStorageError, match="allow s3:ListBucket"):
        check_bucket(folder, s3)
