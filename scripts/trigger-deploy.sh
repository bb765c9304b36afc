#!/bin/sh
# Deploys from a CI job: asks a dropless daemon for a deploy, shows its log, and exits with its outcome.
#
#   DROPLESS_URL=https://example.com/_dropless DROPLESS_SECRET=… scripts/trigger-deploy.sh
#
# Needs curl, openssl and a POSIX system's shell and tools. In a GitHub Actions job the repository, ref, commit and delivery
# come from the job's own variables; elsewhere say them.
#
#   option               variable                default
#   --url URL            DROPLESS_URL            (required) the daemon's public address
#                        DROPLESS_SECRET         (required, or the next) the app's secret
#   --secret-file FILE   DROPLESS_SECRET_FILE    a file that holds the secret alone
#   --audience NAME      DROPLESS_AUDIENCE       in place of a secret: GitHub's identity token, made for this audience
#                                                (the app's `oidc`; the job needs `permissions: { id-token: write }`)
#   --app NAME           DROPLESS_APP            every app of the repository and branch
#   --repository O/N     DROPLESS_REPOSITORY     GITHUB_REPOSITORY
#   --ref REF            DROPLESS_REF            GITHUB_REF (a branch's name is enough)
#   --sha SHA            DROPLESS_SHA            GITHUB_SHA
#   --delivery ID        DROPLESS_DELIVERY       GITHUB_RUN_ID-GITHUB_RUN_ATTEMPT, else a random one; a
#                                                repeated id is not deployed twice
#   --no-follow          DROPLESS_FOLLOW=0       follow to the end
#   --answer                                     for other scripts: print the daemon's answer, JSON with the tokens
#                                                that read the deploys, and do not follow
#   --patience SECONDS   DROPLESS_PATIENCE       300; how long a daemon that does not answer is tried again
#
# Exit code: 0 live, or nothing to do; 1 failed, rolled back, canceled or on hold; 2 asked wrongly (secret,
# repository, app, option); 3 no daemon answers. In Actions the outputs `id` and `status` are set.
#
# The secret appears in no argument list and no output: it is hashed here, by builtins and pipes.
set -u
LC_ALL=C
export LC_ALL

url=${DROPLESS_URL:-}
app=${DROPLESS_APP:-}
repository=${DROPLESS_REPOSITORY:-${GITHUB_REPOSITORY:-}}
ref=${DROPLESS_REF:-${GITHUB_REF:-}}
sha=${DROPLESS_SHA:-${GITHUB_SHA:-}}
delivery=${DROPLESS_DELIVERY:-${GITHUB_RUN_ID:+$GITHUB_RUN_ID-${GITHUB_RUN_ATTEMPT:-1}}}
secret_file=${DROPLESS_SECRET_FILE:-}
follow=${DROPLESS_FOLLOW:-1}
patience=${DROPLESS_PATIENCE:-300}
secret=${DROPLESS_SECRET:-}
audience=${DROPLESS_AUDIENCE:-}
# Children have no need of it.
unset DROPLESS_SECRET

# What happened, why it matters, what to do.
complain() {
  printf '✘ %s [%s]\n' "$2" "$1" >&2
  [ -z "${3:-}" ] || printf '  → %s\n' "$3" >&2
  if [ "${GITHUB_ACTIONS:-}" = true ]; then
    printf '::error title=dropless::%s\n' "$(printf '%s' "$2" | sed 's/%/%25/g')"
  fi
}
usage() {
  complain usage "$1" "${2:-Run $0 --help to see the options.}"
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --no-follow)
      follow=0
      shift
      continue
      ;;
    --answer)
      follow=answer
      shift
      continue
      ;;
    --url | --app | --repository | --ref | --sha | --delivery | --secret-file | --audience | --patience) ;;
    --secret) usage "A secret does not belong into an argument: everyone on the machine could read it" "Set DROPLESS_SECRET, or use --secret-file." ;;
    *) usage "There is no option $1" ;;
  esac
  [ $# -ge 2 ] || usage "$1 needs a value"
  case $1 in
    --url) url=$2 ;;
    --app) app=$2 ;;
    --repository) repository=$2 ;;
    --ref) ref=$2 ;;
    --sha) sha=$2 ;;
    --delivery) delivery=$2 ;;
    --secret-file) secret_file=$2 ;;
    --audience) audience=$2 ;;
    --patience) patience=$2 ;;
  esac
  shift 2
done

for tool in curl openssl; do
  command -v "$tool" >/dev/null 2>&1 || usage "$tool is not installed" "Install it: this script needs curl and openssl, nothing else."
done
if [ -n "$secret_file" ]; then
  [ -r "$secret_file" ] || usage "The secret's file $secret_file cannot be read"
  secret=$(cat "$secret_file")
fi
if [ -n "$audience" ]; then
  [ -z "$secret" ] || usage "There are both a secret and an audience" "Give the one that the app has in dropless.yaml."
  [ -n "${ACTIONS_ID_TOKEN_REQUEST_URL:+${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-}}" ] ||
    usage "This job gets no identity token from GitHub" "Give the job permissions: { id-token: write, contents: read }. A pull request from a fork gets none."
fi
[ -n "$audience$secret" ] || usage "There is no secret: DROPLESS_SECRET is not set or empty" "In Actions: env: DROPLESS_SECRET: \${{ secrets.DEPLOY_SECRET }}. A pull request from a fork gets no secrets."
[ -n "$url" ] || usage "There is no address: DROPLESS_URL is not set" "It is the daemon's publicUrl, such as https://example.com/_dropless."
[ -n "$repository" ] || usage "There is no repository" "Outside of Actions say it: --repository owner/name."
[ -n "$ref" ] || usage "There is no ref" "Outside of Actions say it: --ref main."
[ -n "$sha" ] || usage "There is no commit" "Outside of Actions say it: --sha \"\$(git rev-parse HEAD)\"."
case $url in
  http://* | https://*) ;;
  *) usage "$url is no address" "It begins with https:// (or http://)." ;;
esac
case $patience in
  '' | *[!0-9]*) usage "--patience takes seconds" ;;
esac
case $ref in
  refs/*) ;;
  *) ref=refs/heads/$ref ;;
esac
[ -n "$delivery" ] || delivery=$(openssl rand -hex 16)
for value in "$repository" "$ref" "$sha" "$delivery" "$app"; do
  case $value in
    *[!A-Za-z0-9._/@+#=,~:-]*) usage "'$value' has a character that no name here may have" ;;
  esac
done
# The address as people paste it.
url=${url%/}
url=${url%/webhooks/deploy}

umask 077
dir=$(mktemp -d) || exit 2
quiet_token=
# shellcheck disable=SC2317 # called by the trap
end() {
  code=$?
  trap - EXIT
  [ -z "$quiet_token" ] || printf '::%s::\n' "$quiet_token"
  rm -rf "$dir"
  exit "$code"
}
trap end EXIT
trap 'echo "The deploy, if it was accepted, goes on without this script." >&2; exit 1' INT TERM HUP

hex() { od -An -v -tx1 | tr -d ' \n'; }

# The key, padded to 64 bytes, XOR $2 in every byte; $1 is the key in hex.
padded() {
  rest=$1
  bytes=
  while [ -n "$rest" ]; do
    byte=$((0x${rest%"${rest#??}"} ^ $2))
    bytes="$bytes\\$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
    rest=${rest#??}
  done
  # shellcheck disable=SC2059 # the octal escapes are the format
  printf "$bytes"
}

# HMAC-SHA256 of $1 under the secret, in hex (RFC 2104). openssl's own -hmac would take it as an argument.
sign() {
  key=$(printf '%s' "$secret" | hex)
  [ ${#key} -le 128 ] || key=$(printf '%s' "$secret" | openssl dgst -sha256 -binary | hex)
  while [ ${#key} -lt 128 ]; do key=${key}00; done
  {
    padded "$key" 92
    {
      padded "$key" 54
      printf '%s' "$1"
    } | openssl dgst -sha256 -binary
  } | openssl dgst -sha256 -binary | hex
}

# Leaves in $dir/proof what shows who asks, for curl: a signature of $1, or a new identity token (each is taken once).
prove() {
  if [ -z "$audience" ]; then
    printf 'header = "X-Hub-Signature-256: sha256=%s"\n' "$(sign "$1")" >"$dir/proof"
    return
  fi
  printf 'header = "Authorization: bearer %s"\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" >"$dir/ask"
  identity=$(curl -sSf --proto '=http,https' --connect-timeout 10 --max-time 30 --retry 3 -G -K "$dir/ask" \
    --data-urlencode "audience=$audience" "$ACTIONS_ID_TOKEN_REQUEST_URL" 2>"$dir/error" | flatten | sed -n 's/^value=//p')
  if [ -z "$identity" ]; then
    complain no_identity "GitHub gave no identity token: $(sed 's/^curl: //;1q' "$dir/error")" "Run the job again."
    exit 2
  fi
  [ "${GITHUB_ACTIONS:-}" != true ] || printf '::add-mask::%s\n' "$identity" >&2
  printf 'header = "Authorization: Bearer %s"\n' "$identity" >"$dir/proof"
}

# JSON on standard input → lines `path=value`, such as error.message=…; escaped control characters vanish.
flatten() {
  awk '
    function take(pattern, found) {
      if (match(s, pattern) != 1) exit 1
      found = substr(s, 1, RLENGTH)
      s = substr(s, RLENGTH + 1)
      return found
    }
    function text(t) {
      t = substr(t, 2, length(t) - 2)
      gsub(/\\\\/, "\001", t)
      gsub(/\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]/, "", t)
      gsub(/\\[nrtbf]/, " ", t)
      gsub(/\\/, "", t)
      gsub(/\001/, "\\", t)
      return t
    }
    function value(path, c, i) {
      take("^[ \t\r\n]*")
      c = substr(s, 1, 1)
      if (c == "{" || c == "[") {
        s = substr(s, 2)
        take("^[ \t\r\n]*")
        if (s ~ /^[]}]/) { take("^."); return }
        for (i = 0; ; i++) {
          take("^[ \t\r\n]*")
          if (c == "{") { name = text(take("^\"([^\"\\\\]|\\\\.)*\"")); take("^[ \t\r\n]*:") } else name = i
          value(path (path == "" ? "" : ".") name)
          if (take("^[ \t\r\n]*[],}]") ~ /[]}]/) return
        }
      }
      if (c == "\"") print path "=" text(take("^\"([^\"\\\\]|\\\\.)*\""))
      else print path "=" take("^[-+.A-Za-z0-9]+")
    }
    BEGIN { RS = "\001" }
    { s = s $0 }
    END { value("") }'
}
# A value of the last answer; empty when it has none.
field() { sed -n "s/^$1=//p" "$dir/answer" | sed 1q; }

# request PATH [curl options…]: sets $http (000: no answer) and $dir/answer.
request() {
  path=$1
  shift
  http=$(curl -sS --proto '=http,https' --connect-timeout 10 --max-time 60 \
    -o "$dir/body" -D "$dir/headers" -w '%{http_code}' "$@" "$url$path" 2>"$dir/error") || http=000
  : >"$dir/answer"
  [ "$http" = 000 ] || flatten <"$dir/body" >"$dir/answer" 2>/dev/null || :
}
# A header's value; $1 is a pattern, since HTTP/2 has them in small letters.
header() { sed -n "s/^$1: *//p" "$dir/headers" 2>/dev/null | tr -d '\r' | tail -n 1; }

# Is it worth trying again? The daemon restarts, nginx has nobody behind it, or the network is away.
passes() {
  case $http in
    000 | 429 | 502 | 503 | 504) return 0 ;;
    *) return 1 ;;
  esac
}
# Waits before the next attempt; fails when the patience is used up. $waited and $pause are the caller's.
again() {
  [ "$waited" -lt "$patience" ] || return 1
  seconds=$pause
  if [ "$http" = 429 ]; then
    seconds=$(header "[Rr]etry-[Aa]fter")
    case $seconds in '' | *[!0-9]*) seconds=$pause ;; esac
  fi
  [ "$waited" -gt 0 ] || printf '… %s: no answer yet (%s), trying again\n' "$url" "$(why)" >&2
  sleep "$seconds"
  waited=$((waited + seconds))
  pause=$((pause < 8 ? pause * 2 : 10))
}
why() {
  if [ "$http" = 000 ]; then sed 's/^curl: //;1q' "$dir/error"; else printf 'HTTP %s' "$http"; fi
}
no_daemon() {
  complain no_daemon "No dropless answers at $url: $(why)" "${1:-Is the address right, does the daemon run, and does nginx pass it on?}"
  exit 3
}

# What a refused request means, in the daemon's words where it has some.
refuse() {
  code=$(field code)
  detail=$(field detail)
  hint=$(field hint)
  [ -n "$code" ] || hint=
  case $http in
    30?)
      complain redirected "$url answers with a redirect to $(header "[Ll]ocation")" "Set DROPLESS_URL to where it leads, with https://."
      exit 2
      ;;
    401) complain "${code:-unauthorized}" "${detail:-The signature was not accepted}" "${hint:-DROPLESS_SECRET must be the very text that the secrets in dropless.yaml name for this app.}" ;;
    404) complain "${code:-not_found}" "${detail:-Nothing at $url/webhooks/deploy takes a deploy}" "${hint:-Compare DROPLESS_URL with server.publicUrl, and the repository with dropless.yaml.}" ;;
    409)
      complain "${code:-held}" "${detail:-The app is on hold}" "${hint:-dropless resume APP on the server ends the hold.}"
      exit 1
      ;;
    *) complain "${code:-http_$http}" "${detail:-$url answered with HTTP $http}" "${hint:-Is this the address of dropless?}" ;;
  esac
  exit 2
}

# Asks for the deploy; answers 202 or 200, or the script ends.
post() {
  body='{"repository":"'$repository'","ref":"'$ref'","sha":"'$sha'","delivery":"'$1'"'
  [ -z "$app" ] || body=$body',"app":"'$app'"'
  body=$body'}'
  printf '%s' "$body" >"$dir/request"
  [ -n "$audience" ] || prove "$body"
  waited=0 pause=1
  while :; do
    [ -z "$audience" ] || prove "$body"
    request /webhooks/deploy -H 'Content-Type: application/json' -H 'Expect:' \
      -K "$dir/proof" --data-binary "@$dir/request"
    case $http in
      200 | 202) return ;;
    esac
    passes || refuse
    repeated=1
    again || no_daemon
  done
}

# Sets $dir/answer to the deploy.
deploy_of() {
  waited=0 pause=1
  while :; do
    request "/deploys/$1" -K "$dir/token"
    [ "$http" != 200 ] || return 0
    passes || refuse
    again || no_daemon "Deploy $1 goes on without this script: dropless status $1 tells how it ended."
  done
}

# Some mawk waits for a full buffer of 4 kB unless it is told not to; others do not know the option.
case $(awk -W version 2>&1 </dev/null) in
  mawk*) flowing() { awk -W interactive "$@"; } ;;
  *) flowing() { awk "$@"; } ;;
esac

# log_of ID LINE [all]: prints the log behind LINE, and leaves the number of the last line in $dir/line.
# A line that was cut off with the connection is not printed; the next call brings it whole. Which one that is shows the
# mark that stands where the connection ended.
log_of() {
  query="after=$2"
  [ "${3:-}" = all ] || query="follow=1&$query"
  mark=$(openssl rand -hex 16)
  # shellcheck disable=SC2016 # awk's own
  {
    curl -sSNf --proto '=http,https' --connect-timeout 10 --max-time 240 --keepalive-time 20 \
      -K "$dir/token" "$url/deploys/$1/logs?$query" 2>/dev/null
    printf '%s' "$mark"
  } | flowing -v mark="$mark" -v number="$2" -v all="${3:-}" -v file="$dir/line" '
    substr($0, length($0) - length(mark) + 1) == mark {
      rest = substr($0, 1, length($0) - length(mark))
      if (all != "" && rest != "") print rest
      next
    }
    { print; number++; fflush() }
    END { print number >file }'
}

ended() {
  case $1 in
    queued | running | '') return 1 ;;
    *) return 0 ;;
  esac
}

# Follows deploy $1 and those that supersede it; sets $status, leaves the last one's answer.
follow_to_end() {
  id=$1
  while :; do
    printf '==> deploy %s of %s\n' "$id" "$2"
    line=0
    while :; do
      log_of "$id" "$line"
      before=$line
      line=$(cat "$dir/line")
      deploy_of "$id"
      status=$(field status)
      ended "$status" && break
      # A proxy that ends the stream at once must not make this a busy loop.
      [ "$line" -gt "$before" ] || sleep 1
    done
    log_of "$id" "$line" all
    deploy_of "$id"
    next=$(field supersededBy)
    [ "$status" = superseded ] && [ -n "$next" ] || return 0
    printf '→ superseded by %s, which stands for both\n' "$next"
    id=$next
  done
}

outcome() {
  commit=$(field commit.sha | cut -c1-7)
  case $status in
    succeeded) printf '✔ %s is live: %s\n' "$1" "$commit" ;;
    skipped) printf '○ %s needed no deploy: %s\n' "$1" "$(field error.message)" ;;
    *)
      complain "$(field error.code)" "$1: $status: $(field error.message)" "$(field error.hint)"
      [ "$worst" -ne 0 ] || worst=1
      ;;
  esac
  probes=$(field receipt.probes)
  [ -z "$probes" ] || printf '  receipt: %s requests probed, %s failed, longest gap %s ms\n' \
    "$probes" "$(field receipt.failed)" "$(field receipt.maxGapMs)"
  if [ -n "${GITHUB_OUTPUT:-}" ]; then printf 'id=%s\nstatus=%s\n' "$id" "$status" >>"$GITHUB_OUTPUT"; fi
}

repeated=0
post "$delivery"
# An attempt of ours may have been accepted without our hearing of it, and its token with it: ask for a deploy
# of our own, which supersedes the first or finds its commit live.
if [ "$repeated" = 1 ] && [ "$(field duplicate)" = true ]; then post "$delivery-again"; fi

if [ "$follow" = answer ]; then
  cat "$dir/body"
  exit 0
fi

if [ "$http" = 200 ]; then
  ignored=$(field ignored)
  if [ -n "$ignored" ]; then
    printf '○ ignored: %s\n' "$ignored"
    [ "${GITHUB_ACTIONS:-}" != true ] || printf '::warning title=dropless::ignored: %s\n' "$ignored"
    exit 0
  fi
  status=$(field status)
  printf '○ this delivery was taken before, as deploy %s (%s)\n' "$(field id)" "$status"
  case $status in
    failed | rolled_back | rollback_failed | canceled) exit 1 ;;
    *) exit 0 ;;
  esac
fi

# One delivery may concern several apps: `deploys` has them all.
deploys=
number=0
while [ -n "$(field "deploys\\.$number\\.id")" ]; do
  deploys="$deploys $(field "deploys\\.$number\\.id")|$(field "deploys\\.$number\\.app")|$(field "deploys\\.$number\\.token")"
  number=$((number + 1))
done
[ -n "$deploys" ] || deploys="$(field id)|$(field app)|$(field token)"

worst=0
if [ "${GITHUB_ACTIONS:-}" = true ] && [ "$follow" != 0 ]; then
  # What a build prints must not become a command to the runner.
  quiet_token=$(openssl rand -hex 16)
fi
for deploy in $deploys; do
  id=${deploy%%|*}
  token=${deploy##*|}
  name=${deploy#*|}
  name=${name%|*}
  if [ "$follow" = 0 ] || [ -z "$token" ]; then
    printf '==> deploy %s of %s accepted\n' "$id" "$name"
    continue
  fi
  printf 'header = "Authorization: Bearer %s"\n' "$token" >"$dir/token"
  [ -z "$quiet_token" ] || printf '::stop-commands::%s\n' "$quiet_token"
  follow_to_end "$id" "$name"
  if [ -n "$quiet_token" ]; then printf '::%s::\n' "$quiet_token"; fi
  outcome "$name"
done
quiet_token=
exit "$worst"
