"""Amazon Bedrock inference, made cheaper, faster and steadier from inside LangChain."""
