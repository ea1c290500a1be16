#!/bin/sh
# The entrypoint of the Envoy image: flags alone mean Envoy's.
case "$1" in -*) set -- envoy "$@" ;; esac
exec "$@"
