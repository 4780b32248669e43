"""Amazon Bedrock inference, made cheaper, faster and steadier from inside LangChain."""

__version__ = "0.1.0"
