.PHONY: setup
setup:
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv sync --frozen --inexact
