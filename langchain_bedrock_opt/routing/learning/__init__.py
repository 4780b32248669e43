"""What a router learns: from labels off-line, from feedback on-line, and about other policies.

Lives here: `calibrate`, which reads `examples` (with `example_files` and `labels`), fits `learned`
and `isotonic`, judges by `worth` and `reliability` and makes a `calibration` (with
`calibration_view` and `json_values`), and `calibrated`, which starts the doors with one; draws with
known probabilities (`exploration`, with `turns`), thresholds that learn (`bandit`, with
`feedback`), and what another policy would have got (`off_policy`).
Start at `calibrate.calibrate` and at `exploration.Dice`.
"""
