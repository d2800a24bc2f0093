#!/usr/bin/env bash
# What EventBridge does on AWS: runs the scheduler and the cron program at the beginning of every minute. Outside Lambda each
# does one tick and ends.
set -uo pipefail

trap 'exit 0' TERM INT
while true; do
    # In the background, so that the signal is not kept waiting.
    sleep $((60 - 10#$(date +%S))) &
    wait $!
    for program in scheduler cron; do
        # A tick that fails has logged why; the next one does its work.
        "$program" &
    done
    wait
done
