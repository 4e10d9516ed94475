# Two commands do everything: `make train` and `make test`. Only Python (3.9 to 3.13) has to be there first.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
TASK ?= digits/Fo_Ha

.PHONY: help setup train test test-slow lint format docs clean

help:
	@echo "make train [TASK=digits/Fo_Ha] [ARGS=...]   set up and run the main job"
	@echo "make test [ARGS=...]                        set up and run the tests"
	@echo "make docs                                   build the documentation site, build/site"
	@echo "make lint | format | test-slow | clean"

setup: $(VENV)/.installed

# The stamp holds the requirements that were installed: a second call installs nothing unless they change.
$(VENV)/.installed: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 9) <= v <= (3, 13) else "Error: Python %d.%d found, 3.9 to 3.13 expected: call make with PYTHON=python3.11, say." % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
# The variables pin what pip builds packages with, too; -c alone does not.
	@echo "Installing requirements.txt into $(VENV) (some minutes, once) ..."
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

train: setup
	@$(BIN)/python -m launch.train --task=$(TASK) $(ARGS)

# A file of tests at a time, in the order of tests/conftest.py, which says in how many processes, too.
SPREAD = --numprocesses=auto --dist=loadfile --no-loadscope-reorder

test: setup
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)

test-slow: setup
	@$(BIN)/python -m pytest $(SPREAD) -m slow $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Built from the sources alone, so in an environment without TensorFlow. The links let pages link to each other as in the
# repository.
docs: .venv-docs/.installed
	@mkdir -p build/docs && ln -sfn $(foreach page,README.md BUILD.md LICENSE CITATION.cff docs,../../$(page)) build/docs/
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --quiet --strict
	@echo "build/site/index.html"

.venv-docs/.installed: docs/requirements.txt
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean:
	rm -rf $(VENV) .venv-current .venv-docs build .pytest_cache .ruff_cache .hypothesis
