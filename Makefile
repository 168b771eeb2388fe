# The two commands are `make demo` and `make test`. The first use of either makes .venv; nothing else on the machine is
# touched, but for the system packages that the tests use, and those only where root and apt are there.

VENV := .venv
RUN := $(VENV)/bin/
SECONDS ?= 600
MEMBERS := pyproject.toml cli/pyproject.toml $(wildcard plugins/*/pyproject.toml)

.PHONY: demo test lint format bench fuzz docs version clean

demo: $(VENV)/ready  ## the whole CCW site, simulated: HAProxy, clients, an operator's shift, one fault after the other
	@$(RUN)lbkit demo

test: $(VENV)/ready  ## all tests; says which are skipped, and for want of what
	@sh tools/system-packages
	@$(RUN)python -m compileall -q src cli plugins  # else each of the hundreds of processes that tests start compiles all anew
	@PYTHONDONTWRITEBYTECODE= $(RUN)pytest --cache-clear $(PYTEST) || sh tools/once-more $$? $(RUN)pytest $(PYTEST)

lint: $(VENV)/ready  ## format, style, types, floors
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)lint-imports

format: $(VENV)/ready
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

bench: $(VENV)/ready  ## every benchmark, and docs/performance.md anew
	@sh tools/system-packages
	$(RUN)python -m benchmarks --write docs/performance.md

fuzz: $(VENV)/ready  ## SECONDS=600 on each: the readers of DICOM PDUs, HTTP answers, HAProxy's and IPVS's replies, VRRP's adverts
	$(RUN)pip install --quiet 'atheris>=2.3'
	for target in pdu_reader http_answer haproxy_replies ipvs_replies vrrp_adverts; do \
	    $(RUN)python fuzz/$$target.py -artifact_prefix=fuzz/corpus/$$target- -max_total_time=$(SECONDS) || exit 1; done

docs: $(VENV)/ready  ## docs/checks.md, from what the checks declare
	$(RUN)python tools/reference.py

version: $(VENV)/ready  ## VERSION=0.2.0: every member and every pin between them
	$(RUN)python tools/version.py $(VERSION)

$(VENV)/ready: requirements.lock $(MEMBERS) tools/virtual-environment
	@sh tools/virtual-environment $(VENV)
	@touch $@

clean:
	rm -rf $(VENV)
