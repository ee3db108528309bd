#!/usr/bin/env bash
# Runs the hub and the limit in turns on this machine and prints the ratios as a table.
#
#   benches/peers/run.sh [ROUNDS]
#
# Everything is on loopback and over mutual TLS, in a scratch directory that is removed at the end. Each round starts a new hub, so
# that none is measured against a log that an earlier one filled. Settings, from the environment:
#   SECONDS_PER_RUN   length of each run (3)
#   ITEMS             indicators that the hub holds when it is read (100000)
#   THREADS           threads of the clients' runtime, on either side (2)
#   OUT               where the rows go, one JSON object a line (a file in the scratch directory)
#
# Other peers (etcd, NATS JetStream, Redis, PostgreSQL) belong beside `echo`: a function `PEER_start`, one that measures, and their
# pairs in `compare.py`. They need a load generator each and their servers installed, and are not here yet.
set -euo pipefail

rounds=${1:-3}
seconds=${SECONDS_PER_RUN:-3}
items=${ITEMS:-100000}
threads=${THREADS:-2}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
out=${OUT:-$scratch/rows.jsonl}
hub_binary=${CLEARINGHOUSE:-$root/target/release/clearinghouse}
echo_target=${ECHO_TARGET:-$here/echo/target}
echo_binary=$echo_target/release/echo
pids=()

stop_all() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  pids=()
}
trap 'stop_all; rm -rf "$scratch"' EXIT

build() {
  [ -x "$hub_binary" ] || (cd "$root" && cargo build --release)
  (cd "$here/echo" && CARGO_TARGET_DIR=$echo_target cargo build --release --locked)
}

# start LOG COMMAND...: runs a server in the background; sets `address` and `pid` once it accepts.
start() {
  local log=$1
  shift
  "$@" >"$log" 2>>"$scratch/stderr.log" &
  pid=$!
  pids+=("$pid")
  for _ in $(seq 100); do
    address=$(grep -o 'https://.*' "$log" || true)
    [ -n "$address" ] && return
    kill -0 "$pid" || break
    sleep 0.1
  done
  echo "a server did not start; see its words:" >&2
  tail -n 5 "$scratch/stderr.log" >&2
  exit 1
}

# A new hub in $scratch/hub with the profile $scratch/profile, which may publish and subscribe.
start_hub() {
  rm -rf "$scratch/hub" "$scratch/profile"
  "$hub_binary" init --dir "$scratch/hub" >/dev/null
  start "$scratch/hub.log" "$hub_binary" serve --dir "$scratch/hub" --listen 127.0.0.1:0
  hub_address=$address hub_pid=$pid
  local admin=(--profile "$scratch/hub/admin")
  "$hub_binary" member add "Bench platform" --kind platform "${admin[@]}" >/dev/null
  "$hub_binary" invite "Bench platform" bench --role publisher,subscriber "${admin[@]}" >"$scratch/token" 2>/dev/null
  "$hub_binary" enroll --hub "$hub_address" --ca "$scratch/hub/admin/ca.pem" --token-file "$scratch/token" \
    --out "$scratch/profile" >/dev/null
}

hub() {
  local row
  row=$("$hub_binary" bench "$@" --seconds "$seconds" --threads "$threads" --server-pid "$hub_pid" --seed "$seed" --json \
    --profile "$scratch/profile")
  echo "$row" >>"$out"
}

limit() {
  local row
  row=$("$echo_binary" load "$@" --seconds "$seconds" --threads "$threads" --server "$echo_address" --server-pid "$echo_pid" \
    --profile "$scratch/profile")
  echo "$row" >>"$out"
}

# Each kind of run on both sides, one right after the other, so that a noisy minute hits both.
round() {
  seed=$((1000 * $1))
  start_hub
  start "$scratch/echo.log" "$echo_binary" serve --dir "$scratch/hub" --threads 2
  echo_address=$address echo_pid=$pid
  hub replay --items "$items"
  limit receive --clients 1 --batch 256
  hub lookup --mode unary --clients 64 --items "$items"
  limit send --clients 64
  hub lookup --mode batch --clients 8 --items "$items"
  limit send --clients 8 --batch 128
  for clients in 1 64 256; do
    seed=$((seed + 10))
    hub publish --mode unary --clients "$clients"
    limit send --clients "$clients"
  done
  seed=$((seed + 10))
  hub publish --mode batch --clients 8
  limit send --clients 8 --batch 128
  seed=$((seed + 10))
  hub publish --mode stream --clients 8
  limit stream --clients 8
  for pair in 1:100000 10:40000 100:8000; do
    seed=$((seed + 10))
    hub fanout --subscribers "${pair%:*}" --items "${pair#*:}"
    limit receive --clients "${pair%:*}" --batch 256
  done
  stop_all
}

build
for number in $(seq "$rounds"); do
  echo "round $number of $rounds" >&2
  round "$number"
done
python3 "$here/compare.py" "$out"
