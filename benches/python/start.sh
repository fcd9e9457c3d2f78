#!/bin/sh
# start.sh FOLDER [options]: starts FOLDER/run.py in target/FOLDER-venv, which is made anew where it is missing or the
# pinned packages changed: those of all benchmarks (requirements.txt here) and the folder's own, if it has any.
set -eu
shared=$(cd "$(dirname "$0")" && pwd)
name=$1
shift
bench=$shared/../$name
venv=$shared/../../target/$name-venv

pins=$(cat "$shared/requirements.txt" "$bench/requirements.txt" 2>/dev/null) || true
if [ "$pins" != "$(cat "$venv/requirements.txt" 2>/dev/null)" ]; then
    python3 -m venv "$venv"
    echo "$pins" > "$venv/wanted.txt"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$venv/wanted.txt"
    mv "$venv/wanted.txt" "$venv/requirements.txt"
fi
# The sources stay free of __pycache__.
export PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$shared"
exec "$venv/bin/python" "$bench/run.py" "$@"
