"""Prompts without the white space that means nothing."""
