#!/usr/bin/env bash
# Runs the clients and workers of examples/ against a local stack. Languages that are not installed are skipped, by name.
# The programs must have been built: `cargo build --bin ojs-local --bin ojs-example-worker --bin ojs-example-client`.
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
# check LANGUAGE PROGRAM WORKER CLIENT: the client's job is done by the worker. PROGRAM runs both.
check() {
    local folder=examples/$1 program=$2 worker
    if ! command -v "$program" >/dev/null; then
        echo "skipped $folder: no $program here"
        return
    fi
    OJS_MAX_JOBS=1 timeout 60 "$program" "$3" >"$logs/$1-worker.log" 2>&1 &
    worker=$!
    children+=("$worker")
    if timeout 60 "$program" "$4" bob@example.com | tee "$logs/$1-client.log" | grep -q '^completed {"sent": *true}' && wait "$worker"; then
        echo "ok      $folder"
        passed=$((passed + 1))
    else
        echo "FAILED  $folder: see $logs/$1-worker.log and $logs/$1-client.log"
        failed=$((failed + 1))
    fi
}

check rust env "$target_dir/debug/ojs-example-worker" "$target_dir/debug/ojs-example-client"
check python python3 examples/python/worker.py examples/python/client.py
check node node examples/node/worker.mjs examples/node/client.mjs
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
