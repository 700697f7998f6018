#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A warehouse on this machine that takes webhooks: what is signed as Standard Webhooks says, with our secret, less than
five minutes ago, is taken, once for an id; anything else is refused. https://www.standardwebhooks.com

    warehouse.py [PORT]     listens, and prints what the worker must know
"""
import base64
import hashlib
import hmac
import http.server
import json
import secrets
import sys
import threading
import time

TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 1 << 20


def signed(secret, headers, body, now):
    """Whether one of the signatures is right and the time is about now."""
    identity, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(expected, s) for s in headers.get("webhook-signature", "").split())


class Warehouse:
    """url, secret; taken: {webhook id: (path, body)} in the order in which they came; refused: paths."""

    def __init__(self, port=0, secret=None, refuse=lambda path, body: None, tell=lambda line: None):
        self.secret = secret or "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.taken, self.refused = {}, []
        warehouse = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(min(length, BODY_BYTES_MAX))
                status, answer = warehouse.take(self.path, self.headers, body, refuse)
                tell(f"{self.path} {status} {body.decode('utf-8', 'replace')}")
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def take(self, path, headers, body, refuse):
        if not signed(self.secret, headers, body, time.time()):
            self.refused.append(path)
            return 401, {"error": "the signature is wrong, or too old"}
        value = json.loads(body)
        why = refuse(path, value)
        if why:
            self.refused.append(path)
            return 422, {"error": why}
        self.taken.setdefault(headers["webhook-id"], (path, value))
        return 200, {"taken": headers["webhook-id"]}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def main(port="0"):
    warehouse = Warehouse(int(port), tell=lambda line: print(line, flush=True))
    print(f"export TUTTI_SECRET_WAREHOUSE_URL={warehouse.url}\n"
          f"export TUTTI_SECRET_WAREHOUSE_KEY={warehouse.secret}", flush=True)
    try:
        warehouse.thread.join()
    except KeyboardInterrupt:
        warehouse.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
