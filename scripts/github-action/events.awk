# A deploy's server-sent events on standard input → a job's log, a group for each step. In the environment: TOKEN, which
# wakes a runner that was told to stop listening; LAST and GROUP, where an earlier connection had come to. Left in the
# folder STATE: `last`, `group`, and `ended`, the deploy at its end. Any POSIX awk; bytes, not characters (LC_ALL=C).

# JSON's escapes out of a string's inside.
function plain(t,    code) {
  if (index(t, "\\") == 0) return t
  # No raw control character is in JSON: \001 stands for a backslash until the other escapes are gone.
  gsub(/\\\\/, "\001", t)
  gsub(/\\u001b/, "\033", t)
  gsub(/\\"/, "\"", t)
  gsub(/\\t/, "\t", t)
  gsub(/\\r/, "\r", t)
  gsub(/\\n/, "\n", t)
  gsub(/\\b/, "\010", t)
  gsub(/\\f/, "\014", t)
  gsub(/\\u000[01]/, "", t)
  while (match(t, /\\u00[01][0-9a-f]/)) {
    code = 16 * substr(t, RSTART + 4, 1) + index("123456789abcdef", substr(t, RSTART + 5, 1))
    t = substr(t, 1, RSTART - 1) sprintf("%c", code) substr(t, RSTART + 6)
  }
  gsub(/\001/, "\\", t)
  return t
}
function word(name,    from) {
  if (!match(data, "\"" name "\":\"[a-z_]*\"")) return ""
  from = RSTART + length(name) + 4
  return substr(data, from, RSTART + RLENGTH - 1 - from)
}
# The runner listens for this one line.
function command(line) { printf "::%s::\n%s\n::stop-commands::%s\n", TOKEN, line, TOKEN }
function close_group() {
  if (group != "") command("::endgroup::")
  group = ""
}
function seconds(    ms) {
  if (!match(data, /"durationMs":[0-9]+/)) return ""
  ms = substr(data, RSTART + 13, RLENGTH - 13)
  return sprintf(" after %.1f s", int(ms / 100) / 10)
}
function step(    name, status) {
  name = word("name")
  status = word("status")
  if (status == "running") {
    close_group()
    group = name
    command("::group::" name)
  } else if (group != "" && status ~ /^(succeeded|failed|skipped)$/) {
    print name " " status seconds()
    close_group()
    # A group is shut when it is shown: what went wrong is said again outside.
    if (status == "failed") print name " failed" seconds()
  }
}
# The daemon writes `line` first and `stream` behind the text; a quote in the text would have a backslash.
function log_line(    from, text) {
  from = index(data, "\"text\":\"")
  text = substr(data, from + 8)
  print plain(substr(text, 1, index(text, "\",\"stream\":") - 1))
}

BEGIN {
  TOKEN = ENVIRON["TOKEN"]
  state = ENVIRON["STATE"]
  last = ENVIRON["LAST"]
  group = ENVIRON["GROUP"]
}
{ sub(/\r$/, "") }
/^id: / { id = substr($0, 5) }
/^event: / { event = substr($0, 8) }
/^data: / { data = substr($0, 7) }
$0 == "" && data != "" {
  if (event == "log") log_line()
  else if (event == "step") step()
  else if (event == "end") {
    close_group()
    print data >(state "/ended")
  }
  fflush()
  # Only what was shown counts as seen.
  last = id
  if (event == "end") exit
}
$0 == "" { event = data = "" }
END {
  print last >(state "/last")
  print group >(state "/group")
}
