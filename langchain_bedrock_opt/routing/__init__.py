"""the choice of a model for each prompt."""
