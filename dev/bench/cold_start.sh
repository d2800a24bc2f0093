#!/usr/bin/env bash
# Measures the functions' cold start as Lambda would see it, without AWS and Docker: builds them for release and calls
# dev/bench/cold_start.py, which takes all other arguments (--help lists them). Result: target/bench/cold_start.json.
#   --binary PATH   measure this program instead of building it (may be repeated: all are then measured in turns)
#   --rie           also under AWS's own Runtime Interface Emulator, which aws-sam-cli brings along (Linux, x86_64)
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

arguments=()
built=true
for argument in "$@"; do
    case $argument in
    --rie)
        tools/venv.sh deploy
        rie=$(find .venv-deploy -name aws-lambda-rie-x86_64 -print -quit)
        arguments+=(--rie-program "${rie:?aws-sam-cli has brought no aws-lambda-rie-x86_64}")
        ;;
    --binary | --binary=*)
        built=false
        arguments+=("$argument")
        ;;
    *) arguments+=("$argument") ;;
    esac
done

# -p, as what is deployed is built (`make build`): with the whole workspace's features the programs would be larger.
if $built; then
    cargo build ${LOCKED:+"$LOCKED"} --release -p ojs-api-main -p ojs-scheduler
    arguments+=(--binary "$target_dir/release/api" --binary "$target_dir/release/scheduler")
fi
cargo build ${LOCKED:+"$LOCKED"} --profile measure --bin ojs-local

PYTHONPATH=tools exec python3 dev/bench/cold_start.py --local "$target_dir/measure/ojs-local" --out "$target_dir/bench" "${arguments[@]}"
