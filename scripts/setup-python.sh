#!/bin/sh
# `npm run setup:python`: the Python that the tests compare with, in .venv. Where all is in place it changes nothing and
# needs no network.
set -e
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1

[ -e .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --requirement test/requirements.txt
.venv/bin/python -m pip install --quiet --no-deps --requirement test/requirements-alone.txt
