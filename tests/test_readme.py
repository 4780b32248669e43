"""Every Python block of the README runs, in order, with a local Bedrock where AWS would be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.catalog.policies import FEATURES, actions_of, iam_policy

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text("utf-8")
JAPANESE = (ROOT / "README.ja.md").read_text("utf-8")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def sections(text: str) -> list[str]:
    """What is before the first `## `, then each section."""
    return re.split(r"^## ", text, flags=re.MULTILINE)


def prose(text: str) -> str:
    """A text without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_code_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who pastes any one block into a file of its own gets no error."""
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(README)

    with BedrockEmulator() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        aws.client("s3").create_bucket(Bucket="my-bucket")
        for number, block in enumerate(blocks, 1):
            exec(compile(block, f"README.md, block {number}", "exec"), {"__name__": "readme"})

    assert len(blocks) >= 7


def test_the_first_block_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiers and cache results in the first block's comment are the ones it prints."""
    monkeypatch.chdir(tmp_path)
    with BedrockEmulator() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        exec(compile(BLOCK.findall(README)[0], "README.md, block 1", "exec"), {})

    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == ["simple miss", "simple hit", "complex miss"]
    assert printed[3].endswith(" USD")


def test_every_file_it_names_exists() -> None:
    """The architecture section names files that are there."""
    package = ROOT / "langchain_bedrock_opt"
    named = set(re.findall(r"`((?:\w+/)+\w*(?:\.py)?|\w+\.py)`", README.partition("## Arch")[2]))

    missing = {
        name for name in named if not (package / name).exists() and not (ROOT / name).exists()
    }

    assert missing == set()


def test_the_forms_of_batches_are_those_that_were_tried() -> None:
    """The table of forms is the one that the tests of the forms have made."""
    made = ROOT / "tests" / "integration_tests" / "batching" / "lcel_forms.md"

    shown = README.partition("<!-- lcel-forms -->")[2].partition("<!-- /lcel-forms -->")[0]

    assert shown.strip() == made.read_text("utf-8").strip()


def test_every_benchmark_it_names_exists() -> None:
    """Each figure's command is a benchmark of this repository."""
    table = README.partition("## Figures")[2].partition("##")[0]

    commands = set(re.findall(r"\| `(\w+)` \|$", table, re.MULTILINE))

    assert commands
    assert all((ROOT / "benchmarks" / f"{command}.py").exists() for command in commands)


def test_the_policies_are_those_that_are_printed() -> None:
    """The table of IAM actions is what `iam_policy` makes of each feature."""
    arn = "arn:aws:bedrock:us-east-1:111122223333:{}/abcdef123456"
    models = [arn.format(kind) for kind in ("provisioned-model", "application-inference-profile")]
    rows = ["| feature | what it is for | actions |", "|---|---|---|"]
    for feature, what in FEATURES.items():
        named = models if feature == "resolve" else ()
        named = [arn.format("prompt-router")] if feature == "prompt-router" else named
        actions = sorted(actions_of(iam_policy(feature, models=named)))
        rows.append(f"| `{feature}` | {what} | {', '.join(f'`{each}`' for each in actions)} |")

    shown = README.partition("<!-- policies -->\n")[2].partition("<!-- /policies -->")[0]

    assert shown.strip().splitlines() == rows


def test_the_japanese_readme_shows_the_same_code() -> None:
    """Each Python block there is one of README.md, byte for byte, and in the same order."""
    assert BLOCK.findall(JAPANESE) == BLOCK.findall(README)


def test_the_japanese_readme_has_the_same_sections() -> None:
    """Both have as many sections, and the code of each section is the same."""
    english, japanese = sections(README), sections(JAPANESE)

    assert len(japanese) == len(english)
    for number, (one, other) in enumerate(zip(english, japanese, strict=True)):
        assert BLOCK.findall(other) == BLOCK.findall(one), f"section {number}"


def test_the_japanese_readme_has_the_same_rows_of_the_guide() -> None:
    """Each `<!-- row: NAME -->` is in both, before the same block."""
    row = re.compile(r"^<!-- row: \S+ -->\n```python\n.*?^```", re.MULTILINE | re.DOTALL)

    assert row.findall(README)
    assert row.findall(JAPANESE) == row.findall(README)
    assert JAPANESE.count("<!-- row: ") == README.count("<!-- row: ") == len(row.findall(README))


def test_the_japanese_readme_has_no_figure_of_its_own() -> None:
    """Each number of two digits or more is in the same section of README.md."""
    for english, japanese in zip(sections(README), sections(JAPANESE), strict=True):
        figures = set(NUMBER.findall(re.sub(r"\bten\b", "10", english)))
        shown = {each for each in NUMBER.findall(prose(japanese)) if len(each) > 1}

        assert shown - figures == set()


@pytest.mark.parametrize("name", ["README.md", "README.ja.md"])
def test_the_links_of_the_english_and_the_japanese_readme_resolve(name: str) -> None:
    """Each relative link leads to a file, and each anchor to a heading."""
    links = re.findall(r"\]\(([^)\s]+)\)", prose((ROOT / name).read_text("utf-8")))
    relative = [each for each in links if "://" not in each]

    assert "README.ja.md" in relative or "README.md" in relative
    for link in relative:
        path, _, anchor = link.partition("#")
        target = ROOT / (path or name)
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link
