#!/bin/sh
exec "$(dirname "$0")/../python/start.sh" search "$@"
