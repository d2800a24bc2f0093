#!/usr/bin/env bash
# Smoke test of the functions under cargo lambda: starts tools/watch.sh on free ports, sends the sample events and some
# plain HTTP requests, checks the answers, and stops everything. Logs are in target/lambda/.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

tools/venv.sh lambda
logs=$target_dir/lambda
mkdir -p "$logs"
trap_children

ports=$(free_ports 3)
{ read -r lambda_port; read -r dynamodb_port; read -r sqs_port; } <<<"$ports"

echo "Starting the Lambda emulator (compiling first if needed; log: $logs/watch.log)"
LAMBDA_PORT=$lambda_port DYNAMODB_PORT=$dynamodb_port SQS_PORT=$sqs_port \
    tools/watch.sh --ignore-changes >"$logs/watch.log" 2>&1 &
children+=($!)
# A cold build may be part of it. The first request starts the function.
wait_until_up "cargo lambda watch" $! "$logs/watch.log" 1500 "http://127.0.0.1:$lambda_port/ojs/v1/health"

PATH="$PWD/.venv-lambda/bin:$PATH" python3 tools/lambda_check.py --port "$lambda_port" \
    --dynamodb-port "$dynamodb_port" --key local-dev-key
