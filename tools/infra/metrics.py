"""CloudWatch's metrics: which there are, and which a dashboard's widget shows."""

import re

# What AWS measures, of what is used here, by the dimension that says of what. HTTP APIs have `5xx`; REST APIs, `5XXError`.
METRICS = {
    "AWS/ApiGateway": ("ApiId", "Count 4xx 5xx Latency IntegrationLatency DataProcessed"),
    "AWS/DynamoDB": (
        "TableName",
        "ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ReadThrottleEvents WriteThrottleEvents ConditionalCheckFailedRequests",
    ),
    "AWS/Events": ("RuleName", "FailedInvocations Invocations TriggeredRules MatchedEvents ThrottledRules"),
    "AWS/Lambda": ("FunctionName", "ConcurrentExecutions Duration Errors Invocations Throttles"),
    "AWS/SQS": (
        "QueueName",
        "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesDelayed ApproximateNumberOfMessagesNotVisible "
        "ApproximateNumberOfMessagesVisible NumberOfMessagesDeleted NumberOfMessagesReceived NumberOfMessagesSent",
    ),
}


def shown(widget):
    """A widget's metrics: (namespace, name, {dimension: value}). A search finds any value: None."""
    before = []
    for entry in widget.get("metrics", []):
        words = [word for word in entry if isinstance(word, str)]
        if not words:
            for options in entry:
                namespace, dimension = re.search(r"\{([^,]+),(\w+)\}", options["expression"]).groups()
                yield namespace, re.search(r'MetricName="(\w+)"', options["expression"])[1], {dimension: None}
            continue
        # `...` stands for all that the words after it do not replace, `.` for one word of the metric before.
        if words[0] == "...":
            words = before[: len(before) - len(words) + 1] + words[1:]
        before = [before[i] if word == "." else word for i, word in enumerate(words)]
        namespace, name, *dimensions = before
        yield namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True))
