"""What the emulator's models say.

Lives here: the deterministic default (`rules`), scripts (`scripted`), real chat models
(`delegate`), how long prompts and answers are (`counting`) and how fast models are (`paces`). Does
not live here: what Bedrock refuses. Start at `rules.RuleResponder`.
Tests: `tests/unit_tests/emulator/test_replies.py` and its neighbours.
"""
