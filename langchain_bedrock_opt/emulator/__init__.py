"""a local Bedrock."""
