#!/usr/bin/env bash
# Runs the clients and workers of examples/ against a local stack. Languages that are not installed are skipped, by name.
# The stack's program must have been built: `cargo build --bin ojs-local`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

logs=$target_dir/check-examples
mkdir -p "$logs"
trap_children
port=$(free_ports 1)
"$target_dir/debug/ojs-local" --port "$port" >"$logs/stack.log" 2>&1 &
children+=($!)
export OJS_URL=http://127.0.0.1:$port
wait_until_up ojs-local $! "$logs/stack.log" 60 "$OJS_URL/ojs/v1/health"

passed=0
failed=0
# check LANGUAGE PROGRAM ENDING: its client's job is done by its worker.
check() {
    local folder=examples/$1 program=$2 ending=$3 worker
    if ! command -v "$program" >/dev/null; then
        echo "skipped $folder: no $program here"
        return
    fi
    OJS_MAX_JOBS=1 timeout 60 "$program" "$folder/worker.$ending" >"$logs/$1-worker.log" 2>&1 &
    worker=$!
    children+=("$worker")
    if timeout 60 "$program" "$folder/client.$ending" bob@example.com | tee "$logs/$1-client.log" | grep -q '^completed {"sent": *true}' && wait "$worker"; then
        echo "ok      $folder"
        passed=$((passed + 1))
    else
        echo "FAILED  $folder: see $logs/$1-worker.log and $logs/$1-client.log"
        failed=$((failed + 1))
    fi
}

check python python3 py
check node node mjs
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
