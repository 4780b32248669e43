"""`bedrock-opt`: one verb for each thing that is done from a shell.

Lives here: the command line, one module for each verb, and what they share: exit codes (`codes`),
what is printed (`output`), progress (`progress`), values of options (`values`), clients that say
if nobody answers (`clients`), advice in the shell's words (`advice`), SIGTERM (`signals`), the
checks of the doctor (`checks`). Does not live here: what the verbs do, which the rooms do.
Start at `verbs.run`. Tests: `tests/unit_tests/cli`.
"""

from langchain_bedrock_opt.cli.command import main

__all__ = ["main"]
