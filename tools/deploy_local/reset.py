"""Empties the deployment between conformance cases, from outside: a deployed API has no route for that."""

import http.server
import json
import threading
import time


def empty(aws, table, prefix, functions):
    """No job, no message, and new environments for the functions, which remember queues and limits in memory."""
    sqs = aws("sqs")
    for url in sqs.list_queues(QueueNamePrefix=f"{prefix}-", MaxResults=1000).get("QueueUrls", []):
        sqs.purge_queue(QueueUrl=url)
    # ministack ends a function's processes when its configuration changes, as AWS does with its environments.
    for name in functions:
        aws("lambda").update_function_configuration(FunctionName=name, Description=f"emptied at {time.time()}")
    dynamodb = aws("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table, ProjectionExpression="pk, sk", ConsistentRead=True
    )
    keys = [item for page in pages for item in page["Items"]]
    for start in range(0, len(keys), 25):
        requests = {table: [{"DeleteRequest": {"Key": key}} for key in keys[start : start + 25]]}
        while requests:
            requests = dynamodb.batch_write_item(RequestItems=requests).get("UnprocessedItems")


class Server:
    """`POST /reset` on a port of its own; the conformance runner calls it before each case."""

    def __init__(self, port, action):
        lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers one request."""

            def do_POST(self):  # pylint: disable=invalid-name
                """Anything posted is a reset."""
                try:
                    with lock:
                        action()
                    status, answer = 200, {"reset": True}
                except Exception as error:  # pylint: disable=broad-exception-caught
                    status, answer = 500, {"error": repr(error)}
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Nothing: the runner says what failed."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{port}/reset"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
