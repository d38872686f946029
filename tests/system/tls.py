"""TLS of `model pull` and of remotes, against servers with certificates of our own."""
import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading

import lib

with open(os.path.join(lib.ROOT, "embed", "encoder.gguf"), "rb") as f:
    MODEL = f.read()


def openssl(*args, cwd):
    p = subprocess.run(["openssl", *args], cwd=cwd, capture_output=True, check=False)
    if p.returncode:
        raise lib.Failure(f"openssl {args[0]}: {p.stderr.decode()[-300:]}")


def authority(folder):
    """ca.pem and ca.key in `folder`."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=A test authority", "-keyout", "ca.key", "-out", "ca.pem", cwd=folder)


def certificate(folder, name, host="IP:127.0.0.1", days="30"):
    """NAME.pem with its key, signed by the authority; days "-1": it has expired."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test",
            "-keyout", name + ".key", "-out", name + ".csr", cwd=folder)
    with open(os.path.join(folder, name + ".ext"), "w", encoding="ascii") as f:
        f.write(f"subjectAltName={host}\n")
    openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", days, "-extfile", name + ".ext", "-out", name + ".crt", cwd=folder)
    path = os.path.join(folder, name + ".pem")
    with open(path, "wb") as out:
        for part in ".key", ".crt":
            with open(os.path.join(folder, name + part), "rb") as f:
                out.write(f.read())
    return path


class Https:
    """A server with this certificate: GET gives the model, or leads to `plain`; POST an answer."""

    def __init__(self, pem, plain=None):
        self.requests = requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def reply(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                requests.append(self.path)
                if plain:
                    self.reply(302, Location=plain + self.path)
                else:
                    self.reply(200, MODEL)

            def do_POST(self):
                requests.append(self.path)
                self.rfile.read(int(self.headers["Content-Length"]))
                choice = {"index": 0, "message": {"content": "Cats may stay."}, "finish_reason": "stop"}
                self.reply(200, json.dumps({"choices": [choice]}).encode(), Content_Type="application/json")

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):   # a client that does not trust us hangs up
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if pem:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.url = f"http{'s' if pem else ''}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def with_authority(f):
    """Run f(folder) where there is an authority."""
    def run():
        if not shutil.which("openssl"):
            lib.skip("no openssl")
        with lib.scratch() as folder:
            authority(folder)
            f(folder)
    run.__name__ = f.__name__
    return lib.test(run)


def pull(folder, url, trusted=True):
    env = lib.clean_env(folder, CARREL_STORE_DIR=os.path.join(folder, "data"),
                        **({"CARREL_LLM_CA_FILE": os.path.join(folder, "ca.pem")} if trusted else {}))
    return lib.carrel("model", "pull", "--json", url + "/m.gguf", env=env)


def refused(result, *words):
    lib.same(result.rc, 1, f"exit status ({result.out[-300:]})")
    message = result.last()["error"]["message"]
    lib.check(all(w in message for w in words), f"{message!r} without {words}")


@with_authority
def a_file_comes_where_the_authority_is_named_and_not_where_it_is_unknown(folder):
    with Https(certificate(folder, "good")) as s:
        refused(pull(folder, s.url, trusted=False), "the certificate of 127.0.0.1 is not trusted",
                "verification failed", "(see llm.ca_file)")
        lib.same(s.requests, [], "nothing was asked for")
        r = pull(folder, s.url)
        lib.same((r.rc, r.last()["bytes"] if r.rc == 0 else r.out), (0, len(MODEL)))


@with_authority
def a_certificate_for_another_host_is_refused(folder):
    for host in "IP:127.0.0.2", "DNS:models.example":
        with Https(certificate(folder, "other", host=host)) as s:
            refused(pull(folder, s.url), "the certificate of 127.0.0.1 is not trusted")
            lib.same(s.requests, [], "nothing was asked for")


@with_authority
def a_certificate_that_has_expired_is_refused(folder):
    with Https(certificate(folder, "old", days="-1")) as s:
        refused(pull(folder, s.url), "the certificate of 127.0.0.1 is not trusted")
        lib.same(s.requests, [], "nothing was asked for")


@with_authority
def a_redirect_from_https_to_http_is_not_followed(folder):
    with Https(None) as plain, Https(certificate(folder, "good"), plain=plain.url) as s:
        refused(pull(folder, s.url), "without TLS: not followed")
        lib.same((s.requests, plain.requests), (["/m.gguf"], []))


@with_authority
def a_file_of_authorities_that_is_none_is_told(folder):
    with Https(certificate(folder, "good")) as s:
        os.unlink(os.path.join(folder, "ca.pem"))
        refused(pull(folder, s.url), "ca.pem")


def chat(server):
    return server.post("/v1/chat/completions",
                       {"model": "far", "messages": [{"role": "user", "content": "May cats stay?"}]})


@with_authority
def a_remote_answers_where_its_authority_is_named_and_is_not_asked_where_it_is_unknown(folder):
    with Https(certificate(folder, "good")) as model:
        key, path = os.path.join(folder, "key"), os.path.join(folder, "carrel.yaml")
        with open(key, "w", encoding="ascii") as f:
            f.write("sk-Very-Secret\n")
        with open(path, "w", encoding="ascii") as f:
            f.write(f"llm:\n  remote:\n    - name: far\n      url: {model.url}/v1\n      model: m\n"
                    f"      key_file: {key}\n")
        with lib.Server(args=["--config", path]) as s:
            r = chat(s)
            lib.check(r.status == 500 and "the certificate of 127.0.0.1 is not trusted" in r.text, r.text)
            lib.same(model.requests, [], "nothing was sent, least of all the key")
            lib.same(s.log().count("llm.attempt"), 1, "attempts: it does not pass")
        with lib.Server(args=["--config", path],
                        env={"CARREL_LLM_CA_FILE": os.path.join(folder, "ca.pem")}) as s:
            r = chat(s)
            lib.same(r.json()["choices"][0]["message"]["content"], "Cats may stay.", r.text)


lib.main()
