#!/usr/bin/env bash
# Runs the API against ministack, an emulator of AWS by other authors, and checks its core operations over HTTP.
# Leaves logs in target/ministack/ and nothing outside target/ and .venv-ministack/.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

tools/venv.sh ministack
# --bin and not -p: the features are then those of the whole workspace, and what the tests have compiled is reused.
cargo build ${LOCKED:+"$LOCKED"} --bin api

logs=$target_dir/ministack
rm -rf "$logs"
mkdir -p "$logs/tmp"
trap_children

ports=$(free_ports 2)
{ read -r aws_port; read -r api_port; } <<<"$ports"
aws_url=http://127.0.0.1:$aws_port
api_url=http://127.0.0.1:$api_port
api_key=ministack-check-key

# TMPDIR: ministack writes its pid file there.
env TMPDIR="$logs/tmp" GATEWAY_PORT="$aws_port" BIND_HOST=127.0.0.1 SERVICES=dynamodb,sqs \
    .venv-ministack/bin/ministack >"$logs/ministack.log" 2>&1 &
children+=($!)
wait_until_up ministack $! "$logs/ministack.log" 60 "$aws_url/_ministack/health"

# AWS_LAMBDA_RUNTIME_API would make it a Lambda function, and a profile would take the place of the dummy credentials.
env -u AWS_LAMBDA_RUNTIME_API -u AWS_PROFILE -u AWS_SESSION_TOKEN \
    AWS_ENDPOINT_URL="$aws_url" AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
    AWS_EC2_METADATA_DISABLED=true DYNAMODB_TABLE=ministack-check SQS_QUEUE_PREFIX=mscheck \
    OJS_CREATE_TABLE=true OJS_API_KEY="$api_key" OJS_HOST=127.0.0.1 OJS_PORT="$api_port" \
    "$target_dir/debug/api" >"$logs/api.log" 2>&1 &
children+=($!)
wait_until_up "the API" $! "$logs/api.log" 60 "$api_url/ojs/v1/health"

if ! python3 dev/ministack/check.py --url "$api_url" --key "$api_key"; then
    echo "logs: $logs/api.log and $logs/ministack.log" >&2
    exit 1
fi
