#!/usr/bin/env python3
"""Checks what the parts of a deployment promise each other and the code, in template.yaml and in terraform/.

    tools/venv.sh deploy
    .venv-deploy/bin/python tools/check_contract.py

Permissions fit their routes and rules, the code reads the environment's names, table and queues outlive the stack and are
those that the code makes, alarms and dashboard name metrics and things that exist, statements cover what they are for, and
each zip holds its function's program. Offline: infra/ evaluates both, for the scenarios of check_parity.py.
"""

import fnmatch
import sys
import tomllib

from check_parity import ROOT, Sources, scenarios
from infra import place
from infra.cloudformation import Template, TemplateError
from infra.code import Code
from infra.evaluate import EvaluationError
from infra.metrics import METRICS, shown
from infra.model import FUNCTION, QUEUE, of_template, of_terraform

API, RULE, TABLE = "AWS::ApiGatewayV2::Api", "AWS::Events::Rule", "AWS::DynamoDB::Table"


class Contract:
    """One evaluated deployment. Each check yields what is wrong."""

    def __init__(self, model, code):
        self.model, self.code = model, code
        self.functions = {p["FunctionName"]: p for p in self.of(FUNCTION)}
        self.queues = {p["QueueName"]: p for p in self.of(QUEUE)}
        (self.table,), (self.api,) = self.of(TABLE), self.of(API)
        redrives = {p["RedrivePolicy"]["deadLetterTargetArn"] for p in self.queues.values() if "RedrivePolicy" in p}
        self.dead_letters = {name for name in self.queues if place.queue_arn(name) in redrives}

    def of(self, kind):
        return [properties for name, properties in self.model.items() if name.startswith(f"{kind} ")]

    def problems(self):
        checks = (self.permissions, self.programs, self.environment, self.kept, self.made_by_code)
        checks += (self.access_log, self.alarms, self.dashboard, self.statements)
        return [f"{check.__name__}: {problem}" for check in checks for problem in check()]

    def permissions(self):
        """Each route and each rule may call its function, and nothing else may."""
        integrations = {p["ApiId"]: p["IntegrationUri"] for p in self.of("AWS::ApiGatewayV2::Integration")}
        needed, given = set(), set()
        for route in self.of("AWS::ApiGatewayV2::Route"):
            if route["Target"] != f"integrations/{place.integration_id(route['ApiId'])}":
                yield f"route {route['RouteKey']} has the target {route['Target']}"
            path = route["RouteKey"].replace(" ", "")
            source = place.arn("execute-api", f"{route['ApiId']}/*/{path}")
            needed.add((integrations.get(route["ApiId"]), "apigateway.amazonaws.com", source))
        for rule in self.of(RULE):
            targets = [target["Arn"] for target in rule["Targets"].values()]
            needed |= {(target, "events.amazonaws.com", place.rule_arn(rule["Name"])) for target in targets}
            if targets != [place.function_arn(rule["Name"])]:
                yield f"rule {rule['Name']} does not call the function of its name"
        for permission in self.of("AWS::Lambda::Permission"):
            function = place.function_arn(permission["FunctionName"])
            given.add((function, permission["Principal"], permission.get("SourceArn")))
        yield from (f"missing: {needs}" for needs in sorted(needed - given, key=str))
        yield from (f"not needed: {has}" for has in sorted(given - needed, key=str))

    def programs(self):
        for name, function in self.functions.items():
            if function["Program"] != name.rpartition("-")[2] or function["Program"] not in self.code.programs:
                yield f"{name} is given the program {function['Program']}"

    def environment(self):
        for name, function in self.functions.items():
            variables = function["Environment"]["Variables"]
            for variable in variables.keys() - self.code.variables.get(function["Program"], set()):
                yield f"{name}: the code does not read {variable}"
            own = {"DYNAMODB_TABLE": self.table["TableName"], "SQS_QUEUE_PREFIX": self.api["Name"]}
            for variable, value in (own | {"OTEL_SERVICE_NAME": name}).items():
                if variables.get(variable) != value:
                    yield f"{name}: {variable} is {variables.get(variable)!r}, not {value!r}"

    def kept(self):
        for name, resource in {self.table["TableName"]: self.table, **self.queues}.items():
            if not resource["Kept"]:
                yield f"{name} is deleted with the stack"

    def made_by_code(self):
        """Table and queues are those that the code makes itself: table.rs, queues.rs."""
        for what, expected in self.code.table.items():
            if self.table[what] != expected:
                yield f"table, {what}: {self.table[what]}, but table.rs has {expected}"
        for name, queue in self.queues.items():
            fifo = name.endswith(".fifo")
            expected = {"MessageRetentionPeriod": self.code.queue["retention"], "FifoQueue": fifo}
            expected |= {attribute: value if fifo else None for attribute, value in self.code.queue["fifo"].items()}
            seen = queue | {"maxReceiveCount": queue.get("RedrivePolicy", {}).get("maxReceiveCount")}
            expected["maxReceiveCount"] = None if name in self.dead_letters else self.code.queue["receives"]
            for attribute, value in expected.items():
                if seen.get(attribute) != value:
                    yield f"{name}: {attribute} is {seen.get(attribute)}, but queues.rs makes it {value}"

    def access_log(self):
        for stage in self.of("AWS::ApiGatewayV2::Stage"):
            # API Gateway refuses a format without it.
            if "$context.requestId" not in stage["AccessLogSettings"]["Format"].values():
                yield f"stage {stage['StageName']}: the format has no $context.requestId"

    def metric(self, namespace, name, dimensions):
        """What is wrong with a metric: its name, or what it is measured of. A dimension of None is any value."""
        of, names = METRICS.get(namespace, ("", ""))
        names = names.split()
        if namespace == self.code.namespace:
            of, names = "Stack", self.code.metrics
        if name not in names:
            yield f"there is no metric {namespace} {name}"
        if set(dimensions) - ({"GlobalSecondaryIndexName"} if of == "TableName" else set()) != {of}:
            yield f"{namespace} {name} is not measured by {sorted(dimensions)}"
        things = {
            "ApiId": [place.api_id(self.api["Name"])],
            "FunctionName": self.functions,
            "GlobalSecondaryIndexName": self.table["GlobalSecondaryIndexes"],
            "QueueName": self.queues,
            "RuleName": [rule["Name"] for rule in self.of(RULE)],
            "Stack": [self.table["TableName"]],
            "TableName": [self.table["TableName"]],
        }
        for dimension, value in dimensions.items():
            if value is not None and value not in things.get(dimension, ()):
                yield f"{name}: no {dimension} is {value}"

    def alarms(self):
        """Each names a metric that exists, and everything that may fail has one."""
        watched = set()
        for alarm in self.of("AWS::CloudWatch::Alarm"):
            dimensions = {name: dimension["Value"] for name, dimension in alarm["Dimensions"].items()}
            watched |= {(alarm["MetricName"], value) for value in dimensions.values()}
            for problem in self.metric(alarm["Namespace"], alarm["MetricName"], dimensions):
                yield f"{alarm['AlarmName']}: {problem}"
        needed = {("5xx", place.api_id(self.api["Name"]))}
        needed |= {(metric, name) for metric in ("Errors", "Throttles") for name in self.functions}
        needed |= {("FailedInvocations", rule["Name"]) for rule in self.of(RULE)}
        # Messages wait in a queue for workers; in a dead-letter queue none should stay.
        dead, oldest = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
        needed |= {(dead if name in self.dead_letters else oldest, name) for name in self.queues}
        yield from (f"nothing watches {metric} of {name}" for metric, name in sorted(needed - watched))
        yield from (f"{dead} of {name} is watched" for name in self.queues if (dead, name) in watched - needed)

    def dashboard(self):
        for dashboard in self.of("AWS::CloudWatch::Dashboard"):
            widgets = dashboard["DashboardBody"]["widgets"]
            if len({(widget["x"], widget["y"]) for widget in widgets}) != len(widgets):
                yield "two widgets are in one place"
            for widget in (widget["properties"] for widget in widgets):
                for problem in (problem for metric in shown(widget) for problem in self.metric(*metric)):
                    yield f"{widget['title']}: {problem}"

    def statements(self):
        """Each statement is about this stack's things, and about all of them."""
        table = place.table_arn(self.table["TableName"])
        for name, function in self.functions.items():
            variables = function["Environment"]["Variables"]
            queues = place.queue_arn(f"{variables['SQS_QUEUE_PREFIX']}-*")
            expected = {
                "dynamodb": {table},
                "kms": {self.table.get("SSESpecification", {}).get("KMSMasterKeyId")},
                "logs": {place.log_group_arn(function["LoggingConfig"]["LogGroup"]) + ":*"},
                "secretsmanager": {variables.get("OJS_API_KEY_SECRET")},
                "sqs": {queues},
            }
            allowed = {}
            for statement in function["Role"]["Statements"].values():
                for action in statement["Action"]:
                    # An index is asked for by its own ARN, and some functions ask indexes only.
                    service = action if action == "dynamodb:Query" else action.partition(":")[0]
                    allowed.setdefault(service, set()).update(statement["Resource"])
            if "dynamodb:Query" in allowed:
                expected["dynamodb:Query"] = {f"{table}/index/*"} | (allowed["dynamodb:Query"] & {table})
            for service, resources in allowed.items():
                if resources != expected.get(service):
                    yield f"{name}: {service} is allowed on {sorted(resources)}"
            for service in {"dynamodb", "logs", "sqs"} - allowed.keys():
                yield f"{name}: no statement about {service}"
            for queue in self.queues:
                if not fnmatch.fnmatch(place.queue_arn(queue), queues):
                    yield f"{name}: {queue} is not covered"


def samconfig_problems(text, template):
    """Capabilities that CloudFormation wants of this template and samconfig.toml does not give."""
    given = tomllib.loads(text)["default"]["deploy"]["parameters"]["capabilities"].split()
    roles = [resource["Properties"] for resource in template.resources.values() if resource["Type"] == "AWS::IAM::Role"]
    needed = {"CAPABILITY_NAMED_IAM" if "RoleName" in role else "CAPABILITY_IAM" for role in roles}
    if "CAPABILITY_NAMED_IAM" in needed | set(given):
        needed -= {"CAPABILITY_IAM"}  # the other one includes it
    needed |= {"CAPABILITY_AUTO_EXPAND"} if "Transform" in template.source else set()
    return [f"samconfig.toml: capabilities lack {missing}" for missing in sorted(needed - set(given))]


def check(sources, code, parameters, which):
    """What is wrong with one of the descriptions; one that cannot be evaluated is wrong, too."""
    try:
        if which == "template.yaml":
            model = of_template(Template(sources.template, parameters))
        else:
            model = of_terraform(sources.module(parameters))
        return Contract(model, code).problems()
    except (EvaluationError, TemplateError, LookupError, TypeError, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]


def main():
    sources, zips, code = Sources(), Sources(), Code()
    zips.given = {f"{program}_zip": f"/zips/{program}.zip" for program in code.programs}
    samconfig = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
    results = [
        ("samconfig.toml", samconfig_problems(samconfig, Template(sources.template))),
        ("terraform/ with zips", check(zips, code, {}, "terraform/")),
    ]
    for _, parameters in scenarios():
        results += [(which, check(sources, code, parameters, which)) for which in ("template.yaml", "terraform/")]
    # What is wrong always would come once for each scenario.
    for line in dict.fromkeys(f"FAILED {which}: {problem}" for which, problems in results for problem in problems):
        print(line)
    failed = sum(bool(problems) for _, problems in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
