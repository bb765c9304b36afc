#!/bin/sh
# One deploy by hand: deploy.sh [app] [ref] [--json] [--config FILE]
#
# Installs and builds dropless if that is still to do. Asks the daemon for the deploy if one answers, and runs
# the very same pipeline in this process, under the same lock, if none does. Shows the log.
#
# Exit code: 0 live, or nothing to do; 1 failed, rolled back or canceled; 2 usage, configuration or set-up.
set -eu

case ${1:-} in
  -h | --help)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
if ! command -v node >/dev/null 2>&1; then
  echo "✘ There is no node in PATH [set_up]" >&2
  echo "  → Install Node 20.20 or newer, or set PATH to where it is." >&2
  exit 2
fi
node "$here/scripts/set-up.js"

# The first two bare words are the app and the ref; everything else goes on as it is.
app='' ref='' value=''
count=$#
while [ "$count" -gt 0 ]; do
  word=$1
  shift
  count=$((count - 1))
  if [ -n "$value" ]; then
    value=''
    set -- "$@" "$word"
    continue
  fi
  case $word in
    -c | --config | --ref) value=1 ;;
    -*) ;;
    *)
      if [ -z "$app" ]; then
        app=$word
        continue
      elif [ -z "$ref" ]; then
        ref=$word
        continue
      fi
      ;;
  esac
  set -- "$@" "$word"
done
[ -z "$ref" ] || set -- --ref "$ref" "$@"
[ -z "$app" ] || set -- "$app" "$@"
exec node "$here/dist/cli.js" deploy --here "$@"
