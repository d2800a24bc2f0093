"""Tests of check_contract.py: mistakes that are planted in either description and must be found. Needs .venv-deploy."""

import pathlib
import shutil
import tempfile
import unittest

try:
    import hcl2  # noqa: F401
    import yaml  # noqa: F401
except ImportError as error:
    raise unittest.SkipTest("make check-contract runs these in .venv-deploy") from error

import check_contract
from check_parity import ROOT, Sources
from infra.cloudformation import Template

# What it is → (file, text that is there, what takes its place, what must be said), for either description.
MISTAKES = {
    "the API's permission is on another function": [
        ("template.yaml", "FunctionName: !Ref ApiFunction\n      Principal", "FunctionName: !Ref CronFunction\n      Principal", "permissions: missing"),
        ("api.tf", 'function["api"].function_name\n  principal', 'function["cron"].function_name\n  principal', "permissions: missing"),
    ],
    "the permission is for a path of no route": [
        ("template.yaml", "${HttpApi}/*/$default", "${HttpApi}/*/*/$default", "permissions: missing"),
        ("api.tf", "/*/$default", "/*/*/$default", "permissions: missing"),
    ],
    "the scheduler's permission is for the cron rule": [
        ("template.yaml", "SourceArn: !GetAtt SchedulerRule.Arn", "SourceArn: !GetAtt CronRule.Arn", "permissions: missing"),
        ("schedules.tf", "source_arn    = aws_cloudwatch_event_rule.tick[each.key].arn", 'source_arn    = aws_cloudwatch_event_rule.tick["cron"].arn', "permissions: missing"),
    ],
    "a rule calls another function": [
        ("template.yaml", "Arn: !GetAtt SchedulerFunction.Arn", "Arn: !GetAtt CronFunction.Arn", "does not call the function of its name"),
        ("schedules.tf", "arn       = aws_lambda_function.function[each.key].arn", 'arn       = aws_lambda_function.function["cron"].arn', "does not call the function of its name"),
    ],
    "the access log has no request id": [
        ("template.yaml", '"requestId":"$context.requestId",', "", "access_log: "),
        ("api.tf", '      requestId          = "$context.requestId"\n', "", "access_log: "),
    ],
    "an alarm is on REST APIs' name of a metric": [
        ("template.yaml", "MetricName: 5xx", "MetricName: 5XXError", "no metric AWS/ApiGateway 5XXError"),
        ("alarms.tf", '"5xx"', '"5XXError"', "no metric AWS/ApiGateway 5XXError"),
    ],
    "the alarm on dead letters is on the main queue": [
        ("template.yaml", "Fn::GetAtt: [!Sub 'DeadLetterQueue${QueueName}', QueueName]", "Fn::GetAtt: [!Sub 'Queue${QueueName}', QueueName]", "nothing watches"),
        ("alarms.tf", "aws_sqs_queue.dead_letters[queue].name", "aws_sqs_queue.jobs[queue].name", "nothing watches"),
    ],
    "an alarm is on another function": [
        ("template.yaml", "Value: !Ref CronFunction\n      Statistic: Sum\n      Period: 300\n      EvaluationPeriods: 1\n      Threshold: 2", "Value: !Ref ApiFunction\n      Statistic: Sum\n      Period: 300\n      EvaluationPeriods: 1\n      Threshold: 2", "nothing watches Errors of ojs-cron"),
        ("alarms.tf", 'metric      = "Errors"\n      dimensions  = { FunctionName = aws_lambda_function.function[tick]', 'metric      = "Errors"\n      dimensions  = { FunctionName = aws_lambda_function.function["cron"]', "nothing watches Errors of ojs-scheduler"),
    ],
    "a metric of ours is misspelt on the dashboard": [
        ("template.yaml", '"JobsStarted"', '"JobStarted"', "no metric OJS JobStarted"),
        ("dashboard.json.tftpl", '"JobsStarted"', '"JobStarted"', "no metric OJS JobStarted"),
    ],
    "a metric of AWS is misspelt on the dashboard": [
        ("template.yaml", '".", "4xx"', '".", "4XX"', "no metric AWS/ApiGateway 4XX"),
        ("dashboard.json.tftpl", 'MetricName=\\"ApproximateAgeOfOldestMessage', 'MetricName=\\"AgeOfOldestMessage', "no metric AWS/SQS AgeOfOldestMessage"),
    ],
    "a dashboard's metric is of something else": [
        ("template.yaml", '"ConsumedReadCapacityUnits", "TableName", "${Table}"', '"ConsumedReadCapacityUnits", "Table", "${Table}"', "is not measured by ['Table']"),
        ("dashboard.json.tftpl", '["...", "dead-in-queue", { "label": "dead-in-queue reads"', '["...", "dead-queue", { "label": "dead-in-queue reads"', "no GlobalSecondaryIndexName is dead-queue"),
    ],
    "two widgets are in one place": [
        ("template.yaml", '"x": 8, "y": 1, "width": 8', '"x": 0, "y": 1, "width": 8', "two widgets are in one place"),
        ("dashboard.json.tftpl", '"x": 8, "y": 1, "width": 8', '"x": 0, "y": 1, "width": 8', "two widgets are in one place"),
    ],
    "the table is deleted with the stack": [
        ("template.yaml", "DeletionPolicy: Retain\n", "DeletionPolicy: Delete\n", "kept: ojs-jobs"),
        ("table.tf", "prevent_destroy = true", "prevent_destroy = false", "kept: ojs-jobs"),
    ],
    "the table is deleted when it is replaced": [
        ("template.yaml", "UpdateReplacePolicy: Retain\n", "UpdateReplacePolicy: Delete\n", "kept: ojs-jobs"),
    ],
    "the queues are deleted with the stack": [
        ("template.yaml", "DeletionPolicy: RetainExceptOnCreate", "DeletionPolicy: Delete", "kept: ojs-default-dlq"),
        ("template.yaml", "Queue${QueueName}:\n        Type: AWS::SQS::Queue\n        DeletionPolicy: RetainExceptOnCreate", "Queue${QueueName}:\n        Type: AWS::SQS::Queue\n        DeletionPolicy: Delete", "kept: ojs-default is"),
        ("queues.tf", "prevent_destroy = true", "prevent_destroy = false", "kept: ojs-default-dlq"),
    ],
    "a variable that the code does not read": [
        ("template.yaml", "OJS_INDEX_SHARDS:", "OJS_INDEX_SHARD:", "the code does not read OJS_INDEX_SHARD"),
        ("functions.tf", "OJS_API_KEY_SECRET ", "OJS_API_KEY_SECRETS ", "the code does not read OJS_API_KEY_SECRETS"),
    ],
    "a variable of another function": [
        ("template.yaml", "          OTEL_SERVICE_NAME: !Sub ${Name}-cron\n", "          OTEL_SERVICE_NAME: !Sub ${Name}-cron\n          OJS_API_KEY_SECRET: x\n", "ojs-cron: the code does not read OJS_API_KEY_SECRET"),
        ("functions.tf", "      environment = {}\n", '      environment = { OJS_API_KEY_SECRET = "x" }\n', "ojs-scheduler: the code does not read OJS_API_KEY_SECRET"),
    ],
    "statements are about less than all indexes": [
        ("template.yaml", "${Table.Arn}/index/*", "${Table.Arn}/index/due", "statements: ojs-api: dynamodb:Query"),
        ("iam.tf", "${aws_dynamodb_table.jobs.arn}/index/*", "${aws_dynamodb_table.jobs.arn}/index/due", "statements: ojs-api: dynamodb:Query"),
    ],
    "statements are about another prefix": [
        ("template.yaml", "${AWS::AccountId}:${Name}-*", "${AWS::AccountId}:ojs*", "statements: ojs-api: sqs"),
        ("iam.tf", ":${var.name}-*", ":ojs*", "statements: ojs-api: sqs"),
    ],
    "a zip holds another function's program": [
        ("template.yaml", "Binary: scheduler", "Binary: cron", "ojs-scheduler is given the program cron"),
        ("functions.tf", "lambda/scheduler/bootstrap.zip", "lambda/cron/bootstrap.zip", "ojs-scheduler is given the program cron"),
    ],
    "the table has another index than the code wants": [
        ("template.yaml", "NonKeyAttributes: [ty, q, p, gr, wk]", "NonKeyAttributes: [ty, q, p, gr]", "made_by_code: table, GlobalSecondaryIndexes"),
        ("table.tf", 'dus = "N"', 'dus = "S"', "made_by_code: table, AttributeDefinitions"),
    ],
    "the queues have another setting than the code gives them": [
        ("template.yaml", "maxReceiveCount: 1000", "maxReceiveCount: 100", "made_by_code: ojs-default: maxReceiveCount"),
        ("queues.tf", "message_retention_seconds = 1209600", "message_retention_seconds = 345600", "made_by_code: ojs-default-dlq"),
    ],
}


class Planted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.code = check_contract.Code()
        cls.template = (ROOT / "template.yaml").read_text(encoding="utf-8")

    def problems(self, file, old, new):
        """What is said of the description with the text replaced."""
        if file == "template.yaml":
            self.assertIn(old, self.template, "the text is no longer there; change MISTAKES")
            sources = Sources(template=self.template.replace(old, new, 1))
            return check_contract.check(sources, self.code, {}, file)
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "terraform")
            shutil.copytree(ROOT / "terraform", copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
            text = (copy / file).read_text(encoding="utf-8")
            self.assertIn(old, text, "the text is no longer there; change MISTAKES")
            (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")
            return check_contract.check(Sources(folder=copy), self.code, {}, "terraform/")

    def test_every_planted_mistake_is_found(self):
        for title, plants in MISTAKES.items():
            for file, old, new, said in plants:
                with self.subTest(title, file=file):
                    found = self.problems(file, old, new)
                    self.assertTrue(any(said in problem for problem in found), found)

    def test_a_zip_that_is_given_must_be_the_functions_own(self):
        sources = Sources()
        sources.given = {"cron_zip": "/zips/api.zip"}
        found = check_contract.check(sources, self.code, {}, "terraform/")
        self.assertEqual(found, ["programs: ojs-cron is given the program api"])

    def test_capabilities(self):
        text = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
        template = Template(self.template)
        self.assertEqual(check_contract.samconfig_problems(text, template), [])
        for capability in ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"):
            self.assertEqual(len(check_contract.samconfig_problems(text.replace(capability, ""), template)), 1, capability)
        named = Template(self.template.replace("      Description: !Sub What ${Name}-api may do.\n", "      RoleName: x\n"))
        self.assertEqual(check_contract.samconfig_problems(text, named), ["samconfig.toml: capabilities lack CAPABILITY_NAMED_IAM"])


if __name__ == "__main__":
    unittest.main()
