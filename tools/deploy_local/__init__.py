"""A rehearsal of the deployment without AWS: see tools/deploy_local.sh."""
