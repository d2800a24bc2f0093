# shellcheck shell=bash
# What the scripts in tools/ share; sourced from the repository's root.

# Where cargo puts what it builds.
# shellcheck disable=SC2034  # used by the scripts that source this
target_dir=${CARGO_TARGET_DIR:-target}

# Processes to end when the script ends, in the order they were started.
children=()

# Ends everything in `children`: politely, then by force. Meant for `trap stop_children EXIT`.
stop_children() {
    local pid
    for pid in "${children[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${children[@]}"; do
        # Ten seconds: enough for a clean shutdown, short enough for an impatient Ctrl-C.
        for _ in {1..100}; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    children=()
}

# Bash runs no EXIT trap when a signal kills it, so signals are turned into exits.
trap_children() {
    trap stop_children EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# Prints COUNT free loopback ports, one a line.
free_ports() { python3 tools/ports.py free "$1"; }

# wait_until_up NAME PID LOG SECONDS ADDRESS: waits until ADDRESS (a port or an http URL) answers; shows the end of LOG
# when the process ends first or the time is up.
wait_until_up() {
    local name=$1 pid=$2 log=$3 seconds=$4 address=$5
    if python3 tools/ports.py wait --pid "$pid" --seconds "$seconds" "$address"; then
        return 0
    fi
    echo "$name did not start; the end of $log:" >&2
    tail -n 40 "$log" >&2 || true
    return 1
}
