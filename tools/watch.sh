#!/usr/bin/env bash
# Runs the functions (API, scheduler, cron) under `cargo lambda watch`, with the local DynamoDB and SQS behind it.
# Served at the root: http://127.0.0.1:9000/ojs/v1/...  Arguments go to cargo lambda watch. Ends both on exit.
# Ports: LAMBDA_PORT (9000), DYNAMODB_PORT (8000), SQS_PORT (9324).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

lambda_port=${LAMBDA_PORT:-9000}
dynamodb_port=${DYNAMODB_PORT:-8000}
sqs_port=${SQS_PORT:-9324}

tools/venv.sh lambda
export PATH="$PWD/.venv-lambda/bin:$PATH"

# Built before anything is started, so that the waits below are for starting and not for compiling.
cargo build ${LOCKED:+"$LOCKED"} --bin ojs-local --bin api --bin scheduler --bin cron

logs=$target_dir/lambda
mkdir -p "$logs"
trap_children

# Its own API is of no use here: any free port will do. Nor are its ticks: the functions are invoked by hand.
env -u AWS_LAMBDA_RUNTIME_API "$target_dir/debug/ojs-local" \
    --no-ticks --port 0 --dynamodb-port "$dynamodb_port" --sqs-port "$sqs_port" >"$logs/local.log" 2>&1 &
local_pid=$!
children+=("$local_pid")
wait_until_up "DynamoDB on port $dynamodb_port" "$local_pid" "$logs/local.log" 60 "$dynamodb_port"
wait_until_up "SQS on port $sqs_port" "$local_pid" "$logs/local.log" 60 "$sqs_port"

# The keys are those of the local stack, not secrets.
cat >"$logs/watch.env" <<ENV
AWS_REGION=us-east-1
AWS_ACCESS_KEY_ID=local
AWS_SECRET_ACCESS_KEY=local
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:$dynamodb_port
AWS_ENDPOINT_URL_SQS=http://127.0.0.1:$sqs_port
OJS_CREATE_TABLE=true
OJS_API_KEY=local-dev-key
ENV

cargo lambda watch -A 127.0.0.1 -P "$lambda_port" --env-file "$logs/watch.env" "$@" &
watch_pid=$!
children+=("$watch_pid")
{
    echo "API as a Lambda function: http://127.0.0.1:$lambda_port/ojs/v1/health (key: local-dev-key)"
    echo "Ticks: make invoke FUNCTION=scheduler EVENT=events/scheduled-tick.json, FUNCTION=cron EVENT=events/cron-tick.json"
} >&2
wait "$watch_pid"
