"""`python -m langchain_bedrock_opt.cli`."""

import sys

from langchain_bedrock_opt.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
