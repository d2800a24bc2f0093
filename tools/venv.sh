#!/usr/bin/env bash
# Makes the Python environment .venv-NAME from tools/requirements-NAME.txt, or reuses it when the file has not changed.
# Usage: tools/venv.sh NAME
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?usage: tools/venv.sh NAME}
requirements=tools/requirements-$name.txt
venv=.venv-$name
stamp=$venv/.requirements

if [[ ! -f $requirements ]]; then
    echo "venv.sh: $requirements does not exist" >&2
    exit 2
fi
if cmp --silent "$requirements" "$stamp"; then
    exit 0
fi

echo "Installing $requirements into $venv" >&2
# Start over: what an older list installed must not stay behind.
rm -rf "$venv"
if ! python3 -m venv "$venv"; then
    echo "venv.sh: python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi

install() { "$venv/bin/pip" install --disable-pip-version-check -q -r "$requirements"; }
# A package index answers with an error now and then: once more before giving up.
install || { echo "venv.sh: pip failed, trying once more" >&2; sleep 3; install; }

# Written last, so that an interrupted installation is not taken for a finished one.
cp "$requirements" "$stamp"
