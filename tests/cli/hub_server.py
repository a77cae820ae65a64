"""A model hub on loopback for tests/cli/fetch.sh: hub_server.py FOLDER serves the repositories FOLDER/OWNER/REPO.

It prints its port, and one line a request to FOLDER/log. A second port stands for the storage that downloads are
redirected to. What is odd about a repository is in its name:

    open/...        nothing
    open/broken     every answer with more than 30,000 bytes left ends after 30,000
    open/no-ranges  always sends the whole file
    open/damaged    sends other bytes than the listing's sha256 stands for
    open/no-sum     the listing has no sha256; the header X-Linked-Etag has
    open/huge       the listing names a size that no disk has
    open/short      the listing names one byte more than there is
    gated/...       403 without the token "good", 401 with another one
"""

import hashlib
import http.server
import json
import os
import sys
import threading
import urllib.parse

folder = sys.argv[1]


def files(repo):
    root = os.path.join(folder, repo)
    for at, _, names in os.walk(root):
        for name in sorted(names):
            yield os.path.relpath(os.path.join(at, name), root)


def read(repo, path):
    with open(os.path.join(folder, repo, path), "rb") as f:
        return f.read()


def listing(repo):
    entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder.gguf.d"}]
    for path in files(repo):
        data = read(repo, path)
        size = {"open/huge": 10**18, "open/short": len(data) + 1}.get(repo, len(data))
        entry = {"type": "file", "oid": "1" * 40, "size": size}
        if repo != "open/no-sum":
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 134}
        entry["path"] = path
        entries.append(entry)
    return json.dumps(entries, separators=(",", ":")).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        token = self.headers.get("Authorization", "-")
        with open(os.path.join(folder, "log"), "a", encoding="utf-8") as log:
            log.write(f"{self.server.part} {self.command} {self.path} {self.headers.get('Range', '-')} {token}\n")
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if self.server.part == "storage":
            return self.send_file(*path[1:].split("/", 2)[:2], path[1:].split("/", 2)[2])
        parts = path[1:].split("/")
        owner, name = (parts[2:4] if path.startswith("/api/models/") else parts[:2] + ["", ""][:2])[:2]
        if owner == "gated" and token != "Bearer good":
            return self.reply(403 if token == "-" else 401)
        if not os.path.isdir(os.path.join(folder, owner, name)):
            return self.reply(404)
        if path == f"/api/models/{owner}/{name}/tree/main":
            return self.reply(200, listing(f"{owner}/{name}"), Content_Type="application/json")
        inner = path[len(f"/{owner}/{name}/resolve/main/"):]
        if inner not in files(f"{owner}/{name}"):
            return self.reply(404)
        target = f"http://127.0.0.1:{storage.server_port}/{owner}/{name}/{urllib.parse.quote(inner)}"
        sum_ = hashlib.sha256(read(f"{owner}/{name}", inner)).hexdigest()
        return self.reply(302, Location=target, X_Linked_Etag=f'"{sum_}"')

    def send_file(self, owner, name, path):
        data = read(f"{owner}/{name}", path)
        if name == "damaged":
            data = bytes(len(data))
        begin = 0
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes=") and name != "no-ranges":
            begin = int(asked[6:].split("-")[0])
            if begin >= len(data):
                return self.reply(416)
        rest = data[begin:]
        headers = {"Content_Length": str(len(rest))}
        if begin:
            headers["Content_Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        if name == "broken" and len(rest) > 30000:
            self.close_connection = True
            rest = rest[:30000]
        return self.reply(206 if begin else 200, rest, **headers)


def serve(part):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.part = part
    server.handle_error = lambda *args: None  # a client that goes away is no news
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


storage = serve("storage")
hub = serve("hub")
print(hub.server_port, flush=True)
sys.stdin.read()  # until the test closes it
