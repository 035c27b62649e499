"""A web server that webhooks call, by Python's http.server; what it gets it writes down.

    webhook_server.py PORT FOLDER SECRET [tls]

FOLDER/calls gets a line of JSON for each request. The path says how it answers: /CODE with this status, /CODE/N with it N
times and with 200 then, /CODE/N/SECONDS with Retry-After, too; /stall not at all, /endless without an end, /redirect with
another place, /die by closing the connection.
"""

import collections
import http.server
import json
import pathlib
import ssl
import sys
import time

port, folder, secret, *words = sys.argv[1:]
asked = collections.Counter()


# What README tells receivers to do.
readme = pathlib.Path(__file__).resolve().parents[2] / "README.md"
exec(readme.read_text().split("```python\n")[1].split("```")[0])


def is_signed(headers, body):
    return "webhook-signature" in headers and is_from_ldirectord(secret.encode(), headers, body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = {
            "path": self.path,
            "time": time.time(),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "signed": is_signed(self.headers, body),
            "body": json.loads(body),
        }
        with open(f"{folder}/calls", "a") as out:
            out.write(json.dumps(call) + "\n")
        asked[self.path] += 1
        manner, *numbers = self.path.split("?")[0].strip("/").split("/")
        if manner == "stall":
            time.sleep(3600)
        if manner == "die":
            self.close_connection = True
            return
        if manner == "endless":
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                return
        status = 302 if manner == "redirect" else int(manner)
        if numbers and asked[self.path] > int(numbers[0]):
            status = 200
        self.send_response(status)
        if manner == "redirect":
            self.send_header("Location", "/200")
        if status != 200 and len(numbers) > 1:
            self.send_header("Retry-After", numbers[1])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
server.daemon_threads = True
if "tls" in words:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
