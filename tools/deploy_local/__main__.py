"""Deploys template.yaml to a running ministack, checks what came of it, and runs the functions.

tools/deploy_local.sh starts ministack, builds the functions and calls this.
"""

import argparse
import json
import pathlib
import sys
import time

from ojs_client import Checks, Client

from . import compare, conformance, contract, gaps, smoke, stack
from .aws import Aws
from .resolve import Resolver

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="deploy_local.sh", description=__doc__)
    parser.add_argument("--aws-url", required=True, help="set by the script")
    parser.add_argument("--reset-port", type=int, required=True, help="set by the script")
    parser.add_argument("--logs", type=pathlib.Path, required=True, help="set by the script")
    parser.add_argument("--zips", type=pathlib.Path, required=True, help="the functions, built before")
    parser.add_argument("--template", type=pathlib.Path, default=ROOT / "template.yaml")
    parser.add_argument("--name", default="rehearsal", help="the stack's name and the base of all names")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="KEY=VALUE", help="of the template; repeatable"
    )
    parser.add_argument("--conformance", metavar="SUITES", help="also run the conformance suites in this folder")
    parser.add_argument("--level", action="append", choices=conformance.LEVELS, help="only this level; repeatable")
    parser.add_argument("--filter", help="only conformance cases whose id or name contains this")
    parser.add_argument("--no-smoke", action="store_true", help="neither describe nor use what was deployed")
    parser.add_argument("--keep", action="store_true", help="leave it running, until it is interrupted")
    return parser.parse_args()


def deploy(checks, aws, args, parameters):
    """Creates the stack; (stack, template after its transforms, physical ids, resolved resources, resolver)."""
    template, notes = gaps.secrets_by_arn(stack.load(args.template))
    template, more = gaps.batch_actions(template)
    notes += more
    stack.package(aws, template, args.zips)
    made = stack.create(aws, args.name, template, parameters)
    checks.check(f"the stack {args.name} is created", True)
    expanded, ids = stack.processed(aws, args.name), stack.physical_ids(aws, args.name)
    (args.logs / "processed.json").write_text(json.dumps(expanded, indent=1), encoding="utf-8")
    attributes = {name: found for name, (_, found) in compare.look(aws, expanded, ids).items()}
    resolver = Resolver(expanded, parameters, stack.pseudo(made), ids, attributes)
    resources = [(name, kind, resolver.value(value)) for name, kind, value in resolver.resources(expanded)]
    notes += gaps.generated_secrets(aws, resources, ids)
    notes += gaps.settings(aws, resources, ids)
    for note in notes:
        print(f"note  {note}", flush=True)
    return made, expanded, ids, resources, resolver


def inspect(checks, aws, deployment, expanded, ids, resources, resolver):
    """Whether all is there, as the template says and as the functions need it."""
    compare.run(checks, aws, resources, ids, compare.look(aws, expanded, ids))
    contract.table(checks, aws, deployment.table)
    contract.queues(checks, aws, deployment.name, resolver.parameters["QueueNames"], deployment.fifo)
    contract.functions(checks, aws, deployment.name, deployment.table)
    contract.roles(checks, resources)
    contract.secret(checks, aws, deployment.secret)


def main():
    args = arguments()
    aws, checks = Aws(args.aws_url), Checks()
    parameters = {"Name": args.name, "Architecture": "x86_64", "QueueNames": "default,emails"}
    parameters.update(item.split("=", 1) for item in args.parameter)
    try:
        made, expanded, ids, resources, resolver = deploy(checks, aws, args, parameters)
    except Exception as error:  # pylint: disable=broad-exception-caught
        checks.check(f"the stack {args.name} is created", False, error)
        return checks.finish()
    outputs = stack.outputs(made)
    secret = outputs["ApiKeySecretArn"]
    key = aws("secretsmanager").get_secret_value(SecretId=secret)["SecretString"].split(",")[0]
    # The HTTP API by its path: its own host name does not resolve everywhere.
    api = next(ids[name] for name, kind, _ in resources if kind == "AWS::ApiGatewayV2::Api")
    client = Client(f"{args.aws_url}/_aws/execute-api/{api}", key)
    fifo = parameters.get("UseFifo") == "true"
    deployment = smoke.Deployment(aws, client, args.name, outputs["TableName"], secret, fifo)
    if not args.no_smoke:
        inspect(checks, aws, deployment, expanded, ids, resources, resolver)
    # Ticks come when the checks want them.
    deployment.rules(enabled=False)
    if not args.no_smoke:
        for scenario in smoke.SCENARIOS:
            print(f"-- {scenario.__name__}: {scenario.__doc__}", flush=True)
            checks.run(scenario, deployment)
    deployment.rules(enabled=True)
    if args.conformance:
        conformance.run(checks, args, deployment)
    code = checks.finish()
    if args.keep:
        print(f"API   {client.url}/ojs/v1/health\nkey   {key}")
        print(f"AWS   {args.aws_url} (region us-east-1, access key 123456789012)")
        print("ticks: ministack's EventBridge fires the rules once a minute. Ctrl-C ends it.", flush=True)
        while True:
            time.sleep(60)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
