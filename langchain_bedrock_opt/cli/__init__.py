"""`bedrock-opt`: one verb for each thing that is done from a shell.

Exit status: 0 if all went well, 1 if something failed on the way, 2 if something was asked for
that can't be done; then one line on standard error says what to do.

Lives here: the command line, one module for each verb, and how its values are checked (`values`).
Does not live here: what the verbs do, which the rooms do.
Start at `command.main`. Tests: `tests/unit_tests/cli`.
"""

from langchain_bedrock_opt.cli.command import main

__all__ = ["main"]
