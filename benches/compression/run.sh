#!/bin/sh
# Makes target/compression-venv with the pinned packages where it is missing or they changed, then starts run.py in it.
set -eu
here=$(dirname "$0")
venv=$here/../../target/compression-venv

if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi
# The sources stay free of __pycache__.
export PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$here/run.py" "$@"
