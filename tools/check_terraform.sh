#!/usr/bin/env bash
# Checks terraform/ without an account and without Terraform's registry: with Terraform itself (fmt, validate, plan and apply
# against a provider that has AWS's schema and no AWS), what `validate` does not look at, that it makes what template.yaml
# makes, and with checkov. The checkers are also shown mistakes that they must find.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/venv.sh deploy
tools/venv.sh checkov
python=.venv-deploy/bin/python
status=0
run() { "$@" || status=1; }

# The schema is read from a package that is downloaded and not installed. The folder goes with the environment.
schema=.venv-deploy/schema
if ! cmp --silent tools/requirements-terraform-schema.txt "$schema/.requirements"; then
    echo "Downloading the AWS provider's schema (70 MB) into $schema" >&2
    rm -rf "$schema"
    mkdir -p "$schema"
    download() {
        .venv-deploy/bin/pip download --disable-pip-version-check -q --no-deps --require-hashes \
            -r tools/requirements-terraform-schema.txt -d "$schema"
    }
    download || { echo "check_terraform.sh: pip failed, trying once more" >&2; sleep 3; download; }
    cp tools/requirements-terraform-schema.txt "$schema/.requirements"
fi

if command -v terraform >/dev/null; then
    echo "Format: terraform fmt -check"
    # Without a file of its own the CLI warns when the machine's configuration names one that is not there.
    if TF_CLI_CONFIG_FILE=/dev/null CHECKPOINT_DISABLE=1 terraform fmt -check -recursive -diff terraform; then
        echo "1 passed, 0 failed"
    else
        echo "0 passed, 1 failed"
        status=1
    fi
    echo "Terraform: validate, plan and apply without AWS"
    run "$python" tools/terraform_plan.py --schema "$schema"
else
    echo "SKIPPED: no terraform here, so no fmt, validate, plan and apply of terraform/. To install it: https://developer.hashicorp.com/terraform/install" >&2
    echo "0 passed, 0 failed, 2 skipped"
fi

echo "Lint: what validate does not look at"
run "$python" tools/terraform_lint.py --schema "$schema"
run "$python" -m unittest discover --start-directory tools --pattern test_terraform_lint.py
echo "Parity: template.yaml and terraform/ make the same"
run "$python" tools/check_parity.py
echo "Parity: differences that must be found"
run "$python" tools/check_parity.py --self-test

echo "checkov terraform/"
if log=$(.venv-checkov/bin/checkov --config-file .checkov.yaml -d terraform --framework terraform 2>&1); then
    sed -nE 's/^Passed checks: ([0-9]+), Failed checks: ([0-9]+).*/\1 passed, \2 failed/p' <<<"$log"
else
    printf '%s\n0 passed, 1 failed\n' "$log"
    status=1
fi
exit "$status"
