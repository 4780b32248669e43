"""What `bedrock-opt doctor` looks at.

Lives here: what a check finds (`finding`), what checks work with (`bench`), the checks of this
machine (`machine`), of the account (`account`), of models (`models`) and of quotas (`quotas`), and
their order (`examination`). Does not live here: the verb (`cli.doctor`).
Start at `examination.examine`. Tests: `tests/unit_tests/cli/test_cli_doctor.py`.
"""
