#!/usr/bin/env bash
# Whether the API in this container answers, for the image's HEALTHCHECK. Bash speaks TCP itself, so that the image needs no
# HTTP client.
#
# With a key from OJS_API_KEY the API also says whether it reaches DynamoDB and SQS. Where the keys are in Secrets Manager, or have
# roles, there is none to be shown here, and being turned away (401) shows that it serves.
set -uo pipefail

keys=${OJS_API_KEY:-}
if [[ $keys == *"{"* ]]; then
    keys=
fi
exec 3<>"/dev/tcp/127.0.0.1/${OJS_PORT:-8080}" || exit 1
printf 'GET /ojs/v1/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n' \
    "${keys%%,*}" >&3
# The time limit is below that of the HEALTHCHECK.
read -r -t 4 _ status _ <&3 || exit 1
if [[ -n $keys ]]; then
    [[ $status == 200 ]]
else
    [[ $status == 200 || $status == 401 ]]
fi
