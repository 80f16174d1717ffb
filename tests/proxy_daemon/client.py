"""Drives a Toxiproxy at argv[1], in front of the echo server at argv[2], by its client from PyPI."""

import socket
import sys
import time

from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists


def ask(listen, text):
    host, port = listen.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        start = time.monotonic()
        connection.sendall(text)
        return connection.recv(100), time.monotonic() - start


def raises(kind, act):
    try:
        act()
    except kind:
        return
    raise AssertionError("expected %s" % kind)


api, upstream = sys.argv[1:]
host, port = api.split(":")
toxiproxy = Toxiproxy()
toxiproxy.update_api_consumer(host, int(port))
assert toxiproxy.running()
assert b"firedrill" in toxiproxy.version()

proxy = toxiproxy.create(name="python", upstream=upstream)
assert proxy.enabled and proxy.upstream == upstream and not proxy.listen.endswith(":0")
assert ask(proxy.listen, b"hello")[0] == b"hello"
raises(ProxyExists, lambda: toxiproxy.create(name="python", upstream=upstream))

proxy.add_toxic(type="latency", attributes={"latency": 100})
toxic = proxy.get_toxic("latency_downstream")
assert (toxic.type, toxic.stream, toxic.toxicity) == ("latency", "downstream", 1.0)
assert toxic.attributes == {"latency": 100, "jitter": 0}
assert ask(proxy.listen, b"hello")[1] >= 0.099
assert proxy.destroy_toxic("latency_downstream") and proxy.toxics() == {}
raises(InvalidToxic, lambda: proxy.add_toxic(type="nonsense"))
raises(NotFound, lambda: proxy.destroy_toxic("latency_downstream"))

proxy.add_toxic(name="cut", type="limit_data", stream="downstream", attributes={"bytes": 2})
assert ask(proxy.listen, b"hello")[0] == b"he"
assert toxiproxy.reset() and proxy.toxics() == {}

with proxy.down():
    raises(ConnectionRefusedError, lambda: ask(proxy.listen, b"hello"))
assert ask(proxy.listen, b"hello")[0] == b"hello"

made = toxiproxy.populate([{"name": "other", "upstream": upstream, "listen": "127.0.0.1:0"}])
assert ask(made[0].listen, b"hello")[0] == b"hello"
assert sorted(toxiproxy.proxies()) == ["other", "python"]
toxiproxy.destroy_all()
assert toxiproxy.proxies() == {}
print("all is well")
