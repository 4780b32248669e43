"""What `optimize_prompt` takes out of a text, and all that it leaves as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.prompting.optimizing import PromptOptimizer, optimize_prompt
from langchain_bedrock_opt.prompting.optimizing.text import optimize, shorten
from tests.prompt_structure import violations, words


@pytest.mark.parametrize(
    ("prompt", "optimized"),
    [
        ("It rains.  It pours.  The end", "It rains. It pours. The end"),
        ("It rains.\nIt (really!)  Pours.", "It rains.\nIt (really!) Pours."),
        ("One.\n\n\n\nTwo.", "One.\n\nTwo."),
        ("One.\n  \n\t\nTwo.", "One.\n\nTwo."),
        ("One. \nTwo.   \n\nThree.   ", "One.\nTwo.\n\nThree."),
        ("One.     \nTwo.", "One.  \nTwo."),
        ("- one  \n- two  \n* three", "- one\n- two\n* three"),
        ("# Title  \nText", "# Title\nText"),
        ("\n\n  First\nlast\n\n", "  First\nlast"),
        ("\ufeffHello", "Hello"),
        ("One.\r\n\r\n\r\nTwo. \r\n", "One.\n\nTwo."),
        (
            "\u3000今日は晴れ。\u3000\n\n\n\u3000明日は雨。 ",
            "\u3000今日は晴れ。\n\n\u3000明日は雨。",
        ),
        ("<doc>\nText.\n\n\n\nMore.\n</doc>\n\n\n\nWhy?", "<doc>\nText.\n\nMore.\n</doc>\n\nWhy?"),
        (
            "Run:\n\n\n\n```\na  b \n\n\n\nc\n```\n\n\n\nWhy?  ",
            "Run:\n\n```\na  b \n\n\n\nc\n```\n\nWhy?",
        ),
    ],
)
def test_idle_white_space_goes(prompt: str, optimized: str) -> None:
    """Blank lines beyond one, spaces at line ends and between words go, by Markdown's rules."""
    assert optimize_prompt(prompt) == optimized


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("One  \nTwo", id="a line break in Markdown"),
        pytest.param("One\\ \nTwo", id="no line break in Markdown"),
        pytest.param("```py\nx  =  1 \n\n\n\ny\n```", id="a fence"),
        pytest.param("1. Run\n   ~~~\n   a  b \n\n\n\n   c\n   ~~~", id="a fence in a list"),
        pytest.param("```\na  b \n\n\n\nc", id="a fence that is not closed"),
        pytest.param("Run\n\n    a  b \n\n\n\n    c", id="indented code"),
        pytest.param("10. ```\n\n\n\n    code\n    ```", id="a fence that begins a wide item"),
        pytest.param("-     code\n\n\n\n      more", id="a list item that is code"),
        pytest.param("Call `a  b` now.  `x`", id="code in a line"),
        pytest.param("| a  |  b |\n|----|----|\n| 1  |  2 |", id="a table"),
        pytest.param("Name    Age\n----    ---\nBob     42", id="aligned columns"),
        pytest.param("Name    Town\n\nBob     Rome\n\nAl      Bonn", id="columns, line by line"),
        pytest.param("Name    City\n============\nBob     Rome", id="a heading of columns"),
        pytest.param("a\tb\t\n\tc\t\n1\t\t2", id="TSV"),
        pytest.param("name,town\nBob  Jr,Rome\nAl,  Bonn", id="CSV"),
        pytest.param('{"a":  "b  c",\n\n\n\n "d": 1}', id="JSON"),
        pytest.param("key:   value\nother: a  b", id="YAML"),
        pytest.param("run: |\n  a  b \n\n\n\n  c\nnext: 1", id="a YAML block"),
        pytest.param("---\ntitle: A  b \n\n\n\ntags: c\n---\nText", id="front matter"),
        pytest.param('def f():\n    """One  two \n\n\n\nthree."""\n', id="Python"),
        pytest.param('x = """\nOne  two \n\n\n\nthree.\n"""', id="a text in triple quotes"),
        pytest.param("cat <<EOF\nOne  two \n\n\n\nthree.\nEOF", id="a here-document"),
        pytest.param("diff --git a/x b/x\n@@ -1 +1 @@\n-a \n \n\n\n\n+b  c", id="a patch"),
        pytest.param(
            "2026-11-23 10:00:01 INFO  Started  it \n\n\n\n2026-11-23 10:00:02 x", id="a log"
        ),
        pytest.param("<pre>\na  b \n\n\n\nc\n</pre>", id="preformatted HTML"),
        pytest.param("<!--\na  b \n\n\n\nc\n-->", id="a comment"),
        pytest.param("---\na: |\n ```\n---\nOne  two \n\n\n\nb", id="front matter with a fence"),
        pytest.param("cat <<EOF\n```\na  b \n\n\n\nEOF\nOne  two", id="a fence in a here-document"),
        pytest.param(" ```\na  b \n\n\n\n ```\nOne  two", id="a fence that its text leaves"),
        pytest.param("One \r\n\r\n\r\n```\na\n```", id="code, and two kinds of line ends"),
        pytest.param("cat <<eof\na  b \n\n\n\nc\neof", id="a here-document in small letters"),
        pytest.param("cat << 'End'\na \n\n\n\nc\nEnd", id="a here-document behind a space"),
        pytest.param("s := `a \n\n\n\nb`", id="a text of several lines in Go"),
        pytest.param("f(`a`, `b\\`c \n\n\n\nd`)", id="a text of several lines in JavaScript"),
        pytest.param("w := `C:\\` + `a \n\n\n\nb`", id="a backslash in Go"),
        pytest.param('Say @"\na \n\n\n\nb\n"@', id="a text of several lines in PowerShell"),
        pytest.param("It is  so.\n\n12 34\nserver {   ", id="a block with spaces behind it"),
        pytest.param("It runs \nf() =>  ", id="an arrow with spaces behind it"),
        pytest.param("Bob\t\nAl\t", id="TSV with an empty last column"),
        pytest.param("a\tb\n\t\n1\t2", id="TSV with an empty row"),
        pytest.param("1,Bob,likes  cats   \n2,Al,  ", id="CSV with spaces in values"),
        pytest.param("name, town \nBob, Rome  \nAl, Bonn ", id="CSV with a space behind commas"),
        pytest.param("Bye\n\n-- \nAda", id="a signature in a mail"),
        pytest.param("Explain   the   theory.", id="gaps in a sentence"),
        pytest.param("a dog      at the cat.  Fill in the gap.", id="a gap to fill in"),
        pytest.param("It is so.   Run it.", id="more than a typewriter's gap"),
        pytest.param(
            "build       Build the project from\n            its source\nrun         Run it",
            id="columns with lines that go on",
        ),
        pytest.param("Run it.  Run all\n         of it", id="a column with a line that goes on"),
        pytest.param("Run it now.  Yes.\nStop it.     No.", id="columns behind sentences"),
        pytest.param("Monday\nnew york      san jose\nTuesday", id="columns under a heading"),
        pytest.param("city of birth     mother tongue\nKyoto", id="a table's heading alone"),
        pytest.param("> a  b \n> c  d", id="a quotation"),
        pytest.param('[a](/u "b  c") is', id="a link's title"),
        pytest.param('He said "wait  here" twice', id="words in quotes"),
        pytest.param("100%|██  |\r200%|███ |\r", id="a progress bar"),
        pytest.param("東京  大阪  名古屋", id="Japanese words set apart"),
        pytest.param("氏名\u3000\u3000住所", id="full-width spaces"),
        pytest.param("a\u00a0\u00a0b\u200b", id="other spaces"),
        pytest.param(" \n\t\n ", id="nothing but white space"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_may_mean_something_stays(prompt: str) -> None:
    """Code, tables, data, quotations and Japanese spaces are left: the same object comes back."""
    assert optimize_prompt(prompt) is prompt


def test_white_space_around_a_part_stays() -> None:
    """White space around one of several texts is left: it may be all that parts them."""
    assert optimize("\n\nOne.\n\n\n\nTwo. \n", edges=False).text == "\n\nOne.\n\nTwo. \n"


def test_carriage_returns_stay_with_code() -> None:
    """A text with code keeps the kind of its line ends."""
    assert optimize_prompt("Run:\r\n\r\n\r\n```\r\na  b\r\n```") == "Run:\r\n\r\n```\r\na  b\r\n```"


def test_the_report_adds_up() -> None:
    """The report names each kind of white space that went, and the kinds are the whole."""
    prompt = "\ufeffOne.  \n\n\n\nTwo words.  Yes.\n"

    report = PromptOptimizer().report(prompt)

    assert report.text == "One.\n\nTwo words. Yes."
    assert report.removed == {
        "line_breaks": 1,
        "line_ends": 2,
        "blank_lines": 2,
        "runs": 1,
        "edges": 1,
    }
    assert report.removed_chars == len(prompt) - len(report.text) == sum(report.removed.values())


_PIECES = st.sampled_from(
    [
        *(
            "a",
            "some words",
            "Foo",
            "x = 1",
            "日本語",
            "。",
            "&nbsp;",
            "/url",
            "key: ",
            "|+",
            "1",
            ".",
        ),
        *(" ", "  ", "    ", "\t", "\n", "\n", "\n\n\n", " \n", "  \n", "\u3000", "\r\n", "\ufeff"),
        *("- ", "* ", "1. ", "10. ", "> ", "# ", "```", "```py\n", "~~~", "`", "``", "|", "|-|"),
        *("---", "===", "*", "**", "_", "<!--", "-->", "<div>", "</div>", "<pre>", "</pre>", "<?"),
        *(
            "[a]",
            "](",
            "[a]: ",
            '"',
            "'",
            "(",
            ")",
            "\\",
            "{",
            "}",
            '"""',
            "<<EOF",
            "EOF",
            "key: |",
        ),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=40).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=_TEXTS, edges=st.booleans())
def test_any_text_keeps_its_structure(text: str, *, edges: bool) -> None:
    """Any text keeps its Markdown structure and words, and its count is right."""
    shorter, removed = shorten(text, edges=edges)

    assert violations(".md", text, shorter) == []
    assert sum(removed.values()) == len(text) - len(shorter)
    assert all(count > 0 for count in removed.values())


@settings(max_examples=150, deadline=None)
@given(text=_TEXTS | st.text(alphabet=" \t\nab.\u3000`-|<\"'", max_size=60), edges=st.booleans())
def test_optimizing_twice_changes_nothing(text: str, *, edges: bool) -> None:
    """What was optimized once comes back as the same object."""
    once = shorten(text, edges=edges)[0]

    assert shorten(once, edges=edges)[0] is once


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=80))
def test_only_white_space_goes(text: str) -> None:
    """No character but white space and a byte order mark is ever taken out or put in."""
    assert "".join(words(optimize_prompt(text))) == "".join(words(text))
