// Drives a Toxiproxy at argv[2], in front of the echo server at argv[3], by its client from npm.
const assert = require("assert");
const net = require("net");
const { Toxiproxy } = require("toxiproxy-node-client");

const [api, upstream] = process.argv.slice(2);

// Sends a text and gives what comes back, with the time that it took; null if the connection ends without an answer.
function ask(listen, text) {
  const [host, port] = listen.split(":");
  return new Promise((resolve) => {
    const start = Date.now();
    const socket = net.connect({ host, port: Number(port) }, () => socket.write(text));
    socket.on("data", (data) => {
      resolve({ text: data.toString(), took: Date.now() - start });
      socket.destroy();
    });
    socket.on("end", () => resolve(null));
    socket.on("error", (error) => resolve({ error: error.code }));
  });
}

async function main() {
  const toxiproxy = new Toxiproxy(`http://${api}`);
  assert.match(await toxiproxy.getVersion(), /firedrill/);
  const proxy = await toxiproxy.createProxy({ name: "node", listen: "127.0.0.1:0", upstream });
  assert.deepStrictEqual(proxy.toJson(), { enabled: true, listen: proxy.listen, name: "node", upstream });
  assert.notStrictEqual(proxy.listen, "127.0.0.1:0");
  assert.strictEqual((await ask(proxy.listen, "hello")).text, "hello");

  const latency = { latency: 100, jitter: 0 };
  const toxic = await proxy.addToxic({
    attributes: latency, name: "slow", stream: "upstream", toxicity: 1, type: "latency",
  });
  assert.deepStrictEqual(toxic.toJson(), {
    attributes: latency, name: "slow", stream: "upstream", toxicity: 1, type: "latency",
  });
  assert.ok((await ask(proxy.listen, "hello")).took >= 99);
  const changed = await toxic.update({ attributes: { latency: 1, jitter: 0 } });
  assert.strictEqual(changed.attributes.latency, 1);
  assert.strictEqual((await proxy.getToxic("slow")).attributes.latency, 1);
  await toxic.remove();
  await assert.rejects(proxy.getToxic("slow"), /404/);

  await proxy.addToxic({ attributes: { timeout: 0 }, name: "", stream: "downstream", toxicity: 1, type: "reset_peer" });
  assert.deepStrictEqual(await ask(proxy.listen, "hello"), { error: "ECONNRESET" });
  await toxiproxy.reset();
  assert.strictEqual((await ask(proxy.listen, "hello")).text, "hello");

  const off = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
  assert.strictEqual(off.enabled, false);
  assert.deepStrictEqual(await ask(proxy.listen, "hello"), { error: "ECONNREFUSED" });
  await proxy.update({ enabled: true, listen: proxy.listen, upstream });
  assert.strictEqual((await ask(proxy.listen, "hello")).text, "hello");

  const made = await toxiproxy.populate([
    { name: "node", listen: proxy.listen, upstream },
    { name: "other", listen: "127.0.0.1:0", upstream },
  ]);
  assert.deepStrictEqual(Object.keys(made), ["node", "other"]);
  assert.strictEqual((await ask(made.other.listen, "hello")).text, "hello");
  assert.deepStrictEqual(Object.keys(await toxiproxy.getAll()).sort(), ["node", "other"]);
  assert.strictEqual((await toxiproxy.get("other")).upstream, upstream);
  await made.other.remove();
  await assert.rejects(toxiproxy.get("other"), /404/);
  await assert.rejects(toxiproxy.createProxy({ name: "node", listen: "127.0.0.1:0", upstream }), /409/);
  console.log("all is well");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
