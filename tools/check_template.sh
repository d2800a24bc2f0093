#!/usr/bin/env bash
# Checks template.yaml with the tools of its authors and with checkov, and so what CloudFormation makes of it. Nothing of AWS
# is asked, and nothing is built. One line `N passed, M failed` for each tool.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tools/lib.sh
source tools/lib.sh

tools/venv.sh deploy && tools/venv.sh checkov || exit 1

export SAM_CLI_TELEMETRY=0
# boto3 and the SAM CLI insist on a region; the endpoints of AWS are not called.
export AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
failures=0
expanded=$target_dir/sam/expanded
mkdir -p "$expanded"

# run NAME COMMAND...: one check that succeeds or does not.
run() {
    local name=$1 log
    shift
    if log=$("$@" 2>&1); then
        echo "ok      $name"
        echo "1 passed, 0 failed"
    else
        printf 'FAILED  %s\n%s\n' "$name" "$log"
        echo "0 passed, 1 failed"
        failures=$((failures + 1))
    fi
}

expand() { .venv-deploy/bin/python tools/expand_template.py template.yaml "${@:2}" >"$1"; }

# checkov counts its checks itself.
checkov() {
    local name=$1 log status=0 numbers
    shift
    log=$(.venv-checkov/bin/checkov --config-file .checkov.yaml "$@" 2>&1) || status=$?
    numbers=$(sed -nE 's/^Passed checks: ([0-9]+), Failed checks: ([0-9]+).*/\1 passed, \2 failed/p' <<<"$log")
    if [[ $status == 0 && -n $numbers && $numbers != "0 passed"* ]]; then
        echo "ok      $name"
        echo "$numbers"
    else
        printf 'FAILED  %s\n%s\n' "$name" "$log"
        echo "${numbers:-0 passed, 1 failed}"
        failures=$((failures + 1))
    fi
}

run "cfn-lint template.yaml" .venv-deploy/bin/cfn-lint --template template.yaml
run "sam validate" .venv-deploy/bin/sam validate --language-extensions --template template.yaml
run "sam validate --lint" .venv-deploy/bin/sam validate --language-extensions --lint --template template.yaml

# The loops unrolled and SAM's resources replaced: cfn-lint and checkov then see the queues too. A second
# queue is what the loops can get wrong. W2001: nothing refers to QueueNames any more.
run "expanding template.yaml" expand "$expanded/one.json" default
run "expanding template.yaml for more queues" expand "$expanded/three.json" default mail2 a
run "cfn-lint, expanded" .venv-deploy/bin/cfn-lint --ignore-checks W2001 --template "$expanded/one.json"
run "cfn-lint, expanded for more queues" .venv-deploy/bin/cfn-lint --ignore-checks W2001 --template "$expanded/three.json"
checkov "checkov, expanded for more queues" --framework cloudformation --file "$expanded/three.json"

[[ $failures == 0 ]]
