"""The learned weights of the wording: fitted, saved, shipped, and what they do to the score."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import ComplexityScorer
from langchain_bedrock_opt.routing.scoring.ngrams import BUCKETS, HashedNgramScorer

EASY = ["what is the capital of Peru?", "say hello", "フランスの首都は?", "thanks a lot"]
HARD = [
    "prove the lemma by induction",
    "素数の無限性を証明せよ",
    "prove this theorem",
    "prove it all",
]


def fitted(l2: float = 0.1) -> HashedNgramScorer:
    return HashedNgramScorer.fit(EASY + HARD, [0.0] * 4 + [1.0] * 4, l2=l2, about={"n": 8})


def test_what_was_learned_carries_over_to_other_texts() -> None:
    """A scorer fitted on a few prompts ranks new prompts of the same wording."""
    scorer = fitted()

    assert scorer.score("please prove the corollary") > scorer.score("what is the capital?")
    assert scorer.score("定理を証明せよ") > scorer.score("首都は?")


def test_fitting_twice_gives_the_same_weights() -> None:
    """A fit has no chance in it."""
    assert fitted().to_bytes() == fitted().to_bytes()


def test_only_differences_within_a_source_are_learned() -> None:
    """The means of sources are not explained: only what differs within each."""
    texts = ["aaaa", "aaab", "zzzz", "zzzy"]

    scorer = HashedNgramScorer.fit(texts, [0, 1, 10, 11], sources=["a", "a", "z", "z"], l2=0.01)

    assert scorer.score("aaab") > scorer.score("aaaa")
    assert scorer.score("zzzy") > scorer.score("zzzz")
    assert abs(scorer.score("zzzz") - scorer.score("aaaa")) < 0.5


def test_a_saved_scorer_scores_alike() -> None:
    """Weights survive the way through bytes, up to the rounding of half precision."""
    scorer = fitted()

    again = HashedNgramScorer.from_bytes(scorer.to_bytes())

    assert again.about == {"n": 8}
    for text in EASY + HARD:
        assert again.score(text) == pytest.approx(scorer.score(text), abs=0.01)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "another"])
def test_a_damaged_file_is_refused(damage: str) -> None:
    """Bytes that are cut, changed or something else altogether are a ConfigurationError."""
    data = fitted().to_bytes()
    damaged = {
        "cut": data[:-2],
        "flipped": data[:-1] + bytes([data[-1] ^ 1]),
        "empty": b"",
        "text": b"[1, 2, 3]\n",
        "another": data.replace(b"hashed-ngrams-1", b"hashed-ngrams-9"),
    }[damage]

    with pytest.raises(ConfigurationError, match="no weights of an n-gram scorer"):
        HashedNgramScorer.from_bytes(damaged)


@pytest.mark.parametrize(
    ("texts", "targets", "message"),
    [
        ([], [], "Nothing can be learned"),
        (["a", "b"], [1, 1], "Nothing can be learned"),
        (["a", "b"], [1], "give one of each"),
        (["a", "b"], [1, float("nan")], "must be finite"),
    ],
)
def test_examples_that_teach_nothing_are_refused(
    texts: list[str], targets: list[float], message: str
) -> None:
    """Too few, unequal or equal examples are told apart from a fit that worked."""
    with pytest.raises(ConfigurationError, match=message):
        HashedNgramScorer.fit(texts, targets)


def test_weights_of_the_wrong_size_are_refused() -> None:
    """A scorer is made of 65,536 finite weights, and of nothing else."""
    with pytest.raises(ConfigurationError, match="65536 finite weights"):
        HashedNgramScorer([1.0, 2.0])
    with pytest.raises(ConfigurationError, match="65536 finite weights"):
        HashedNgramScorer([float("inf")] * BUCKETS)


@given(st.text())
def test_any_text_has_a_finite_score(text: str) -> None:
    """Empty, short, broken or exotic: every text has a score by the shipped weights."""
    assert abs(HashedNgramScorer.load().score(text)) < 100


def test_a_text_is_read_at_its_ends() -> None:
    """What stands in the middle of a long text neither counts nor costs time."""
    head, tail = "a" * 1000, "b" * 600
    scorer = HashedNgramScorer.load()

    assert scorer.score(f"{head}{'x' * 5_000_000}{tail}") == scorer.score(f"{head}yyy{tail}")
    assert isinstance(scorer.score("\ud800 lone \udfff"), float)


def test_the_hash_is_the_same_everywhere() -> None:
    """A fresh process with another hash seed gives a text the same score."""
    code = (
        "from langchain_bedrock_opt.routing.scoring.ngrams import HashedNgramScorer as S;"
        "print(S.load().score('Prove that 日本 is prime.'))"
    )

    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, check=True
    )

    assert float(out.stdout) == HashedNgramScorer.load().score("Prove that 日本 is prime.")


def test_threads_may_share_a_scorer() -> None:
    """Many threads get the same scores from one scorer, also on its first use."""
    scorer = ComplexityScorer(fitted())

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda text: scorer.score(text).value, HARD * 8))

    assert values == [scorer.score(text).value for text in HARD] * 8


def test_the_wording_is_one_reason_among_others() -> None:
    """Learned weights show as one signed reason, and can be left out."""
    text = "Prove this theorem about primes and explain each step of the proof."

    with_them = {reason.signal: reason.weight for reason in ComplexityScorer().score(text).reasons}
    without = {reason.signal for reason in ComplexityScorer(weights=None).score(text).reasons}

    assert with_them["wording"] != 0
    assert "wording" not in without


def test_weights_of_ones_own_replace_the_shipped_ones() -> None:
    """A scorer with one's own weights goes by them."""
    liked = HashedNgramScorer.fit(EASY + HARD, [1.0] * 4 + [0.0] * 4, l2=0.1)
    text = "prove the lemma"

    assert ComplexityScorer(fitted()).score(text).value > ComplexityScorer(liked).score(text).value


def test_weights_that_are_none_are_refused() -> None:
    """Something else than weights is an error that names the choices."""
    with pytest.raises(ConfigurationError, match="give a HashedNgramScorer, 'shipped', or None"):
        ComplexityScorer("mine")  # type: ignore[arg-type]
