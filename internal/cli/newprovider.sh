#!/bin/sh
# A provider: it says how a coding agent is run in a bottle. One JSON request comes on standard
# input, one JSON reply goes to standard output; `bot-bottle schema provider` prints both schemas,
# and docs/plugins.md explains them. It runs on the host, without secrets, for five seconds at most.
#
# This one runs a shell. Change `program`, `args` and, where your agent has an API, `routes`.
set -eu
request=$(cat)

case $request in
  *'"headless":true'*) args='["-lc", "{task}", "{args}"]' ;; # {task} is replaced by the task, as one word
  *) args='["-l", "{args}"]' ;;                              # {args} by what the user wrote after --
esac

cat <<REPLY
{
  "version": 1,
  "program": {"command": "bash"},
  "args": $args,
  "env": {"EDITOR": "vi"},
  "notes": ["a plain shell, with no agent in it"]
}
REPLY
