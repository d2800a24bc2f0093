"""Clients for the emulator, with the emulator's own botocore."""

import botocore.config
import botocore.session

REGION = "us-east-1"
# The account of all that is made. ministack takes a key of twelve digits for the root of that account.
ACCOUNT = "123456789012"


class Aws:
    """One botocore client per service, all at one address and with one identity."""

    def __init__(self, url, key=ACCOUNT, secret="test", token=None):
        self.url = url
        self.identity = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
        # The caller's profile and files are not looked at: a rehearsal must not reach AWS.
        self.session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        self.clients = {}

    def with_credentials(self, credentials):
        """The same with the identity that STS has answered."""
        return Aws(
            self.url, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
        )

    def __call__(self, service):
        if service not in self.clients:
            config = botocore.config.Config(
                region_name=REGION,
                proxies={},
                connect_timeout=5,
                read_timeout=90,
                retries={"max_attempts": 0},
                s3={"addressing_style": "path"},
            )
            self.clients[service] = self.session.create_client(
                service, region_name=REGION, endpoint_url=self.url, config=config, **self.identity
            )
        return self.clients[service]
