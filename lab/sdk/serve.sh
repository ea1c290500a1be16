# Sourced by run.sh and direct.sh: starts what the clients talk to, and ends it
# with the script.
work=$(mktemp -d)
declare -A running
trap 'stop gateway; stop fakes; rm -rf "$work"' EXIT

# serve NAME FILE COMMAND...: starts the command and waits for the file by which it says that it serves.
serve() {
  local name=$1 file=$2
  shift 2
  "$@" >"$work/$name.out" 2>"$work/$name.log" &
  running[$name]=$!
  for _ in $(seq 300); do
    [ -s "$file" ] && return
    sleep 0.1
  done
  echo "$name: does not serve:"
  cat "$work/$name.log"
  return 1
}

# stop NAME: ends what was started under that name, if it was.
stop() {
  local pid=${running[$1]:-}
  [ -n "$pid" ] || return 0
  unset "running[$1]"
  kill "$pid" 2>/dev/null || true
  wait "$pid" || true
}

# The vendors of lab/fake; FAKES is where they are.
fakes() {
  "${GO:-go}" build -o "$work/fakes" ../fake/cmd
  serve fakes "$work/fakes.out" "$work/fakes" -dir "$work"
  FAKES=$(cat "$work/fakes.out")
  export FAKES
}

# through FLAGS... -- COMMAND...: runs a client against an `egret quickstart` of its own, whose budgets nobody has spent.
through() {
  local flags=() code=0
  while [ "$1" != -- ]; do
    flags+=("$1")
    shift
  done
  shift
  rm -f "$work/env"
  serve gateway "$work/env" "$bin" quickstart --env-file "$work/env" --http 127.0.0.1:0 --https 127.0.0.1:0 --admin 127.0.0.1:0 "${flags[@]}" || return 1
  (
    source "$work/env"
    TOKEN=$("$bin" token --expiration 10m)
    export TOKEN URL="https://$HOST" SSL_CERT_FILE="$CA_FILE" NODE_EXTRA_CA_CERTS="$CA_FILE"
    "$@"
  ) || code=$?
  stop gateway
  return "$code"
}
