"""The verifier: closed until it has proof, then within its promise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from langchain_bedrock_opt.caching.similarity.features import FEATURES
from langchain_bedrock_opt.caching.similarity.verifier import Verifier
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

AUDIT_RATE = 0.1


def row(similarity: float, *, shared: float = 0.8) -> list[float]:
    """Features that differ in similarity and shared words only."""
    values = {
        "similarity": similarity,
        "distance_root": max(0.0, 1 - similarity) ** 0.5,
        "words_shared": shared,
        "content_shared": shared,
        "grams_shared": shared,
    }
    return [values.get(name, 1.0) for name in FEATURES]


def candidates(seed: int, *, worse: float = 0.0) -> Iterator[tuple[list[float], bool]]:
    """Candidates, the nearer the more often right: 99.8 % at a cosine of 1, 33 % at 0.6."""
    dice = random.Random(seed)
    while True:
        similarity = dice.uniform(0.6, 1.0)
        chance = 0.998 - 4.2 * (1 - similarity) ** 2 - worse
        yield row(similarity, shared=dice.uniform(0.3, 1.0)), dice.random() < chance


def verifier(seed: int = 0, **settings: Any) -> Verifier:
    """A verifier whose labels have names that are the same in every run."""
    dice = random.Random(seed)
    promise = {"max_error_rate": 0.05, "new_name": lambda: dice.getrandbits(63), **settings}
    return Verifier(**promise)


def run(
    subject: Verifier, stream: Iterator[tuple[list[float], bool]], requests: int, seed: int = 0
) -> tuple[int, int]:
    """Send candidates as a cache would; hits and wrong hits."""
    dice = random.Random(seed)
    hits = wrong = 0
    for _, (features, is_right) in zip(range(requests), stream, strict=False):
        serves = subject.serves(features)
        if serves and dice.random() >= AUDIT_RATE:
            hits, wrong = hits + 1, wrong + (not is_right)
            continue
        subject.learn(features, correct=is_right, weight=1 / AUDIT_RATE if serves else 1.0)
    return hits, wrong


def test_nothing_is_served_without_labels() -> None:
    """A new verifier is closed, even for an equal text."""
    subject = verifier()

    assert not subject.serves(row(1.0, shared=1.0))
    assert subject.score(row(1.0)) == 0.0
    assert (subject.threshold, subject.error_bound, subject.label_count) == (None, None, 0)


def test_a_few_right_answers_open_nothing() -> None:
    """Forty right answers are no proof that one in twenty is the most that go wrong."""
    subject = verifier()
    for _ in range(40):
        subject.learn(row(0.99), correct=True)

    assert not subject.serves(row(0.99))


def test_what_was_proven_is_served() -> None:
    """A candidate like all those that were right is served, however its features are rounded."""
    subject = verifier()
    # Half precision rounds the first up, the second down.
    for shared in (7 / 9, 1 / 3):
        for _ in range(200):
            subject.learn(row(0.99, shared=shared), correct=True)
            subject.learn(row(0.7, shared=shared), correct=False)

        assert subject.serves(row(0.99, shared=shared))


def test_wrong_answers_open_nothing() -> None:
    """Candidates that are right no more often than not are never served."""
    subject = verifier()
    for number in range(600):
        subject.learn(row(0.9), correct=number % 2 == 0)

    assert subject.threshold is None


def test_it_opens_where_answers_were_right() -> None:
    """With labels, near candidates are served and far ones are not."""
    subject = verifier()
    hits, _ = run(subject, candidates(1), 3000)

    assert hits > 300
    assert subject.error_bound is not None
    assert subject.error_bound <= 0.05
    assert subject.serves(row(0.995))
    assert not subject.serves(row(0.65))


def test_it_opens_where_no_answer_was_ever_wrong() -> None:
    """Traffic of nothing but true paraphrases is served, as near as it was seen."""
    subject = verifier()
    for similarity in (0.9 + number % 90 / 1000 for number in range(400)):
        subject.learn(row(similarity), correct=True)

    assert subject.serves(row(0.95))
    assert not subject.serves(row(0.5))


def test_it_does_not_believe_its_model_where_it_saw_nothing() -> None:
    """A pair without a word in common is not served, whatever the model makes of it."""
    subject = verifier()
    run(subject, candidates(1), 3000)

    assert not subject.serves(row(0.995, shared=0.0))


@pytest.mark.parametrize("place", range(len(FEATURES)))
def test_a_number_that_is_none_is_never_served(place: int) -> None:
    """A NaN in any feature scores as the worst candidate there is."""
    subject = verifier()
    for number in range(400):
        subject.learn(row(0.99), correct=number != 0)
    features = row(0.995)
    assert subject.serves(features)
    features[place] = float("nan")

    assert not subject.serves(features)


def test_the_promise_holds_over_streams() -> None:
    """Of twenty streams no more than two have more errors among hits than promised."""
    broken = total = 0
    for seed in range(20):
        hits, wrong = run(verifier(seed), candidates(seed), 1500, seed)
        total += hits
        broken += wrong > 0.05 * hits

    assert total > 20 * 100
    assert broken <= 2


def test_it_closes_when_audits_find_errors() -> None:
    """When the same candidates turn wrong, audits close the verifier, and it starts afresh."""
    subject = verifier()
    run(subject, candidates(1), 3000)
    assert subject.threshold is not None
    labels = subject.label_count

    for _, (features, _) in zip(range(60), candidates(2, worse=0.5), strict=False):
        subject.learn(features, correct=False, weight=1 / AUDIT_RATE)

    assert subject.threshold is None
    assert subject.label_count < labels


def test_old_labels_make_room() -> None:
    """No more labels are kept than was said, and the state is as small."""
    subject = verifier(max_labels=100)
    for features, is_right in (next(candidates(seed)) for seed in range(400)):
        subject.learn(features, correct=is_right)

    assert subject.label_count < 150
    assert len(subject.to_dict()["turns"]) == 100


def test_state_survives_a_round_trip() -> None:
    """Through msgpack and back, the same candidates are served."""
    subject = verifier()
    run(subject, candidates(1), 3000)
    state = msgpack.unpackb(msgpack.packb(subject.to_dict()))

    restored = Verifier.from_dict(state, max_error_rate=0.05)

    assert restored.to_dict() == subject.to_dict()
    assert restored.threshold is not None
    assert restored.serves(row(0.995))
    assert not restored.serves(row(0.65))


def test_a_stricter_promise_holds_for_restored_labels() -> None:
    """The promise is the constructor's and not the state's."""
    subject = verifier()
    run(subject, candidates(1), 3000)

    restored = Verifier.from_dict(subject.to_dict(), max_error_rate=0.0001)

    assert restored.threshold is None


def test_labels_of_two_processes_are_joined_once() -> None:
    """Merging either way gives the same labels, and merging again changes nothing."""
    base = verifier(0)
    run(base, candidates(0), 300)
    one, other = verifier(1), verifier(2)
    for subject, seed in ((one, 1), (other, 2)):
        subject.merge(base.to_dict())
        run(subject, candidates(seed), 200)
    first, second = one.to_dict(), other.to_dict()

    one.merge(second)
    other.merge(first)

    assert one.to_dict() == other.to_dict()
    assert one.label_count == len(first["turns"]) + len(second["turns"]) - base.label_count
    one.merge(second)
    assert one.to_dict() == other.to_dict()


def test_labels_from_before_an_alarm_do_not_come_back() -> None:
    """What one process threw away after an alarm is not brought back by another's labels."""
    subject = verifier(1)
    run(subject, candidates(1), 3000)
    before = subject.to_dict()
    for _ in range(60):
        subject.learn(row(0.99), correct=False, weight=1 / AUDIT_RATE)
    labels = subject.label_count

    subject.merge(before)

    assert subject.label_count < labels + 100
    assert subject.threshold is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"rows": b"short"},
        {"turns": [1, 2]},
        {"weights": None},
        {"weights": [float("nan")]},
        {"rows": b"\x00\x7e" * len(FEATURES)},
    ],
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    """A state that is broken or of another version is an error, and changes nothing."""
    subject = verifier()
    subject.learn(row(0.9), correct=True)
    state = {**subject.to_dict(), **change}

    with pytest.raises(CacheStoreError, match="no labels"):
        subject.merge(state)
    assert subject.label_count == 1


@pytest.mark.parametrize("features", [[1.0], [float("nan")] * len(FEATURES), [1e9] * len(FEATURES)])
def test_features_that_are_none_are_refused(features: list[float]) -> None:
    """A label without the right numbers would poison the model."""
    with pytest.raises(ValueError, match="features"):
        verifier().learn(features, correct=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_error_rate": 0.0},
        {"max_error_rate": 1.5},
        {"confidence": 1.0},
        {"judge_error": 0.5},
        {"judge_error": -0.1},
        {"max_labels": 3},
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, Any]) -> None:
    """A mistake of configuration is told at construction, with its value."""
    ((name, value),) = settings.items()
    with pytest.raises(ConfigurationError, match=f"{name} is {value}"):
        verifier(**settings)
