#!/usr/bin/env bash
# The step behind action.yml: asks for the deploy, shows its events in the job's log, a group for each step, and ends
# with its outcome. Needs bash 4.2, curl, openssl and awk (which shows the log, see events.awk: bash reads a stream byte by
# byte); the little JSON that is left is taken apart by bash, because a runner may lack jq.
set -uo pipefail
# Bytes, not characters: much faster, and what JSON escapes is below 128.
export LC_ALL=C
# With bash 5.2 an `&` in a replacement would be what was replaced.
shopt -u patsub_replacement 2>/dev/null

here=$(cd "$(dirname "$0")" && pwd)
url=${DROPLESS_URL%/}
url=${url%/webhooks/deploy}
deadline=$((SECONDS + ${DROPLESS_TIMEOUT:-1800}))
outputs=${GITHUB_OUTPUT:-/dev/null}
summary=${GITHUB_STEP_SUMMARY:-/dev/null}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# What apps print goes into this log, and lines such as `::add-path::` in it would be commands to the runner. So the runner
# is told to stop listening until it sees a token that nobody else knows; command() wakes it for one line.
token=$(od -An -v -N16 -tx1 /dev/urandom | tr -d ' \n')
quiet=no
hush() { [ $quiet = yes ] || printf '::stop-commands::%s\n' "$token"; quiet=yes; }
wake() { [ $quiet = no ] || printf '::%s::\n' "$token"; quiet=no; }
command_line() { wake; printf '%s\n' "$1"; hush; }
say() { hush; printf '%s\n' "$1"; }

# For the text of a workflow command, which is one line.
escaped() { local t=${1//'%'/%25}; t=${t//$'\r'/%0D}; printf '%s' "${t//$'\n'/%0A}"; }
fail() {
  command_line "::error title=dropless::$(escaped "$1")"
  [ -z "${2:-}" ] || say "hint: $2"
  wake
  exit 1
}

# string NAME JSON: the first string of that name, without its escapes.
string() {
  local pattern="\"$1\":\"(([^\"\\\\]|\\\\.)*)\""
  [[ $2 =~ $pattern ]] || return 1
  local value=${BASH_REMATCH[1]}
  unescape value
  printf '%s' "$value"
}
number() { [[ $2 =~ \"$1\":([0-9]+) ]] && printf '%s' "${BASH_REMATCH[1]}"; }
# unescape NAME: takes JSON's escapes out of the variable of that name.
unescape() {
  [[ ${!1} == *\\* ]] || return 0
  local inside=${!1}
  inside=${inside//\\\\/$'\x01'}
  inside=${inside//\\\"/\"}
  printf -v inside '%b' "$inside"
  printf -v "$1" '%s' "${inside//$'\x01'/\\}"
}

# Some mawk waits for a full buffer of 4 kB unless it is told not to; others do not know the option.
awk=(awk)
if [[ $(awk -W version 2>&1 </dev/null) == mawk* ]]; then awk=(awk -W interactive); fi

# follow ID TOKEN: shows the events, through reconnections and superseding deploys; leaves the deploy in `ended`.
follow() {
  local id=$1 next last='' group='' failures=0 seen
  ended=
  hush
  while [ -z "$ended" ]; do
    [ $SECONDS -lt $deadline ] || fail "The deploy $id has not ended within ${DROPLESS_TIMEOUT} s; it goes on" "Raise the action's timeout, or set wait to false."
    rm -f "$dir"/*
    # A heartbeat comes every 10 s: a minute of silence means that the connection is dead.
    curl -sSN --fail --max-time $((deadline - SECONDS)) --speed-limit 1 --speed-time 60 \
      -H 'Accept: text/event-stream' -H "Last-Event-ID: $last" -H @<(printf 'Authorization: Bearer %s\n' "$2") \
      "$url/deploys/$id/events" 2>"$dir/error" | TOKEN=$token STATE=$dir LAST=$last GROUP=$group "${awk[@]}" -f "$here/events.awk"
    seen=$last
    last=$(<"$dir/last")
    group=$(<"$dir/group")
    if [ -e "$dir/ended" ]; then
      ended=$(<"$dir/ended")
      if [ "$(status_of "$ended")" = superseded ] && next=$(string supersededBy "$ended") && [ -n "$next" ]; then
        say "superseded by $next, which brings this commit too"
        id=$next last='' ended=''
      fi
    else
      [ $SECONDS -ge $deadline ] || say "$(<"$dir/error")"
      if [ "$last" = "$seen" ]; then failures=$((failures + 1)); else failures=0; fi
      [ $failures -lt 20 ] || fail "The deploy's log cannot be read at $url/deploys/$id/events" "Does nginx pass this path to dropless?"
      sleep 1
    fi
  done
}
status_of() { [[ $1 =~ ^\{\"id\":\"[^\"]*\",\"app\":\"[^\"]*\",\"status\":\"([a-z_]+)\" ]] && printf '%s' "${BASH_REMATCH[1]}"; }

# A cell of a Markdown table, or a paragraph of it: nothing in it is markup.
plain() { local t=${1//$'\n'/ }; t=${t//&/&amp;}; t=${t//</&lt;}; t=${t//|/&#124;}; t=${t//\`/&#96;}; t=${t//[/&#91;}; printf '%s' "${t//\*/&#42;}"; }

# report ID: outputs and summary for the deploy in `ended`.
report() {
  local status app message hint receipt probes failed gap
  status=$(status_of "$ended")
  app=$(string app "$ended")
  if [[ $ended =~ \"receipt\":(\{[^}]*\}) ]]; then
    receipt=${BASH_REMATCH[1]}
    probes=$(number probes "$receipt") failed=$(number failed "$receipt") gap=$(number maxGapMs "$receipt")
  fi
  {
    printf 'id=%s\nstatus=%s\nrelease=%s\n' "$(string id "$ended")" "$status" "$(string release "$ended")"
    printf 'probes=%s\nfailed=%s\nmax-gap-ms=%s\n' "${probes:-}" "${failed:-}" "${gap:-}"
  } >>"$outputs"
  {
    printf '### %s: %s\n\n' "$(plain "$app")" "$status"
    printf '| commit | release | probes | failed | longest gap |\n|---|---|---|---|---|\n| %s | %s | %s | %s | %s |\n\n' \
      "$(string sha "$ended" | cut -c1-7)" "$(plain "$(string release "$ended")")" "${probes:--}" "${failed:--}" "${gap:+$gap ms}"
  } >>"$summary"
  [ -z "${receipt:-}" ] || say "receipt: $probes probes, $failed failed, longest gap $gap ms"
  if [[ $ended =~ \"error\":(\{.*) ]]; then
    message=$(string message "${BASH_REMATCH[1]}")
    hint=$(string hint "${BASH_REMATCH[1]}")
    printf '%s\n\n%s\n\n' "$(plain "$message")" "$(plain "$hint")" >>"$summary"
  fi
  case $status in
    succeeded) say "$app: succeeded" ;;
    skipped) command_line "::notice title=dropless::$(escaped "$app: skipped. ${message:-}")" ;;
    *)
      command_line "::error title=dropless::$(escaped "$app: $status. ${message:-}")"
      [ -z "${hint:-}" ] || say "hint: $hint"
      return 1
      ;;
  esac
}

# Signing, sending, and what a refusal means are trigger-deploy.sh's. Copied without its neighbour, it lies beside us.
trigger=$here/../trigger-deploy.sh
[ -f "$trigger" ] || trigger=$here/trigger-deploy.sh
[ -f "$trigger" ] || fail "trigger-deploy.sh is missing beside this action" "Copy scripts/trigger-deploy.sh of dropless into $here."
answer=$(sh "$trigger" --answer) || {
  code=$?
  # Its own `::error` line, not yet hushed.
  printf '%s\n' "$answer"
  exit $code
}
unset DROPLESS_SECRET

if reason=$(string ignored "$answer"); then
  printf 'status=ignored\n' >>"$outputs"
  command_line "::warning title=dropless::$(escaped "Nothing to deploy: $reason")"
  wake
  exit 0
fi

ids=() tokens=()
rest=$answer
[[ $rest != *'"deploys":['* ]] || rest=${rest#*'"deploys":['}
while [[ $rest =~ \"id\":\"([0-9a-zA-Z]+)\" ]]; do
  ids+=("${BASH_REMATCH[1]}")
  rest=${rest#*"${BASH_REMATCH[0]}"}
  # Up to the next deploy; `token` is missing for a duplicate.
  tokens+=("$(string token "${rest%%'"id":"'*}")")
done
for each in "${tokens[@]}"; do [ -z "$each" ] || command_line "::add-mask::$each"; done
printf 'id=%s\nurl=%s\nstatus=queued\n' "${ids[0]}" "$(string url "$answer")" >>"$outputs"

outcome=0
for i in "${!ids[@]}"; do
  say "deploy ${ids[i]}: $(string url "$answer")"
  if [ "${DROPLESS_WAIT:-true}" != true ]; then continue; fi
  [ -n "${tokens[i]}" ] || fail "This delivery was accepted before, as deploy ${ids[i]}; its log is not shown twice" "Re-run the job to deploy again."
  follow "${ids[i]}" "${tokens[i]}"
  report || outcome=1
done
wake
exit $outcome
