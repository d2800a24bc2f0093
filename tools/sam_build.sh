#!/usr/bin/env bash
# `sam build` of the three functions, into target/sam/build (below CARGO_TARGET_DIR if that is set). Nothing of AWS is asked.
# Usage: tools/sam_build.sh [x86_64|arm64]     (default x86_64; arm64 needs `rustup target add aarch64-unknown-linux-gnu`)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

architecture=${1:-x86_64}
case $architecture in
x86_64 | arm64) ;;
*)
    echo "usage: tools/sam_build.sh [x86_64|arm64]" >&2
    exit 2
    ;;
esac

tools/venv.sh deploy
tools/venv.sh lambda

# cargo and the SAM CLI have different ideas of what a relative path is relative to.
mkdir -p "$target_dir"
target_dir=$(cd "$target_dir" && pwd)
export CARGO_TARGET_DIR=$target_dir
# Only cargo-lambda, and the python that has zig, come from .venv-lambda; sam itself is called by its path.
export PATH="$PWD/.venv-lambda/bin:$PATH"
export SAM_CLI_TELEMETRY=0

# All that matters is said here: samconfig.toml is for people to change.
.venv-deploy/bin/sam build --template template.yaml --language-extensions \
    --build-dir "$target_dir/sam/build" --cache-dir "$target_dir/sam/cache" \
    --parameter-overrides "Architecture=$architecture"

# An ELF file says at byte 18 what it is for: 62 is x86-64, 183 is AArch64.
if [[ $architecture == arm64 ]]; then machine=183; else machine=62; fi
passed=0
failed=0
for function in Api Scheduler Cron; do
    bootstrap=$target_dir/sam/build/${function}Function/bootstrap
    if [[ -x $bootstrap && $(od -An -tu2 -j18 -N2 "$bootstrap") -eq $machine ]]; then
        echo "ok      $bootstrap, $(stat -c %s "$bootstrap") bytes, for $architecture"
        passed=$((passed + 1))
    else
        echo "FAILED  $bootstrap: missing, cannot be executed, or not for $architecture"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
echo "Deploy it with the parameter Architecture=$architecture"
