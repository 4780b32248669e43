"""answers that are not paid for twice."""
