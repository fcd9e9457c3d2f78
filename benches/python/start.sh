#!/bin/sh
# start.sh FOLDER [options]: starts FOLDER/run.py in target/FOLDER-venv. The environment is made anew if it is missing or if the
# pinned packages changed: those of all benchmarks (requirements.txt here) and those of the folder, if it has any.
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
# Keeps __pycache__ out of the sources.
export PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$shared"
exec "$venv/bin/python" "$bench/run.py" "$@"
