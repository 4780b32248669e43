"""What records add up to: `totals`, and what they would have cost elsewhere (`counterfactual`)."""
