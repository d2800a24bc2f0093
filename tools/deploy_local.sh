#!/usr/bin/env bash
# A rehearsal of the deployment without AWS: template.yaml goes to ministack, an emulator of AWS by other authors, whose
# CloudFormation makes the stack and which runs the functions as processes. IAM is enforced, so that the functions work with
# what their roles allow. Checks what came of it, and uses it over HTTP. Logs are in target/deploy-local/.
#
# Usage: tools/deploy_local.sh [OPTION...]
#   --zips DIR              take the functions from DIR: of cargo lambda build, or target/sam/build; without it, the
#                           programs of `cargo build`, which are built anyway
#   --conformance SUITES    also run the conformance suites in SUITES against the deployed functions [--level N]...
#   --keep                  leave it running and print URL and key
#   --help                  all options
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

zips=
help=
args=("$@")
for ((i = 0; i < ${#args[@]}; i++)); do
    case ${args[i]} in
        --zips) zips=${args[i + 1]:-} ;;
        --zips=*) zips=${args[i]#--zips=} ;;
        -h | --help) help=1 ;;
    esac
done

tools/venv.sh deploy-local
# Nothing is left beside the sources.
export PYTHONDONTWRITEBYTECODE=1
rehearse() { PYTHONPATH=tools exec .venv-deploy-local/bin/python -m deploy_local "$@"; }
if [[ -n $help ]]; then
    rehearse --help
fi

logs=$(mkdir -p "$target_dir/deploy-local" && cd "$target_dir/deploy-local" && pwd)
rm -rf "${logs:?}"/*
mkdir -p "$logs/tmp"
trap_children

if [[ -z $zips ]]; then
    cargo build ${LOCKED:+"$LOCKED"} --bin api --bin scheduler --bin cron
    zips=$logs/functions
    for function in api scheduler cron; do
        mkdir -p "$zips/$function"
        # Debug information is most of the program, and ministack unpacks it at each start.
        strip --strip-debug -o "$zips/$function/bootstrap" "$target_dir/debug/$function" 2>/dev/null ||
            cp "$target_dir/debug/$function" "$zips/$function/bootstrap"
    done
    args+=(--zips "$zips")
fi

ports=$(free_ports 2)
{ read -r aws_port; read -r reset_port; } <<<"$ports"
aws_url=http://127.0.0.1:$aws_port

# The functions inherit ministack's environment, so it gets none of ours. TMPDIR: it unpacks the functions there.
# AUTH: requests are held against the callers' policies. AWS_ENDPOINT_URL is what the functions are told.
env -i PATH="$PATH" HOME="$logs/tmp" TMPDIR="$logs/tmp" PYTHONDONTWRITEBYTECODE=1 GATEWAY_PORT="$aws_port" \
    BIND_HOST=127.0.0.1 MINISTACK_ACCOUNT_ID=123456789012 AUTH=true \
    AWS_ENDPOINT_URL="$aws_url" AWS_EC2_METADATA_DISABLED=true IOT_MTLS_ENABLED=0 \
    SERVICES=cloudformation,s3,iam,sts,lambda,dynamodb,sqs,events,apigateway,secretsmanager,logs,monitoring,kms,sns \
    .venv-deploy-local/bin/ministack >"$logs/ministack.log" 2>&1 &
children+=($!)
wait_until_up ministack $! "$logs/ministack.log" 60 "$aws_url/_ministack/health"

# In the background: bash answers a signal while it waits, and not while a program is in front.
rehearse --aws-url "$aws_url" --reset-port "$reset_port" --logs "$logs" "${args[@]}" &
rehearsal=$!
# First in line to be ended: it uses ministack.
children=("$rehearsal" "${children[@]}")
if ! wait "$rehearsal"; then
    echo "logs: $logs" >&2
    exit 1
fi
