// A session of node-zookeeper-client over three servers that are killed one after the other: its
// ephemeral stays, its counter loses nothing, and a watch tells of the last change. Told "end" on
// its input, it ends and prints what it did. Arguments: the module, the connect string.
"use strict";

const zookeeper = require(process.argv[2]);
const client = zookeeper.createClient(process.argv[3], {
  sessionTimeout: 15000,
  retries: 60,
  spinDelay: 100,
});
const { PERSISTENT, EPHEMERAL } = zookeeper.CreateMode;
const call = (name, ...values) =>
  new Promise((done, failed) =>
    client[name](...values, (error, ...results) => (error ? failed(error) : done(results))),
  );
let ending = false;
process.stdin.on("data", () => (ending = true));

// The counter's znode has its value in its version, too: a change that was made and not answered
// is found by that.
async function add(done) {
  for (;;) {
    try {
      await call("setData", "/node/counter", Buffer.from(String(done + 1)), done);
      return;
    } catch (error) {
      if (error.getCode() === zookeeper.Exception.BAD_VERSION) {
        const [data, stat] = await read();
        if (stat.version === done + 1 && data.toString() === String(done + 1)) return;
        throw new Error(`${done} additions, and the counter is ${data} of version ${stat.version}`);
      }
      if (error.getCode() !== zookeeper.Exception.CONNECTION_LOSS) throw error;
    }
  }
}

async function read() {
  for (;;) {
    try {
      return await call("getData", "/node/counter");
    } catch (error) {
      if (error.getCode() !== zookeeper.Exception.CONNECTION_LOSS) throw error;
    }
  }
}

async function story() {
  await call("create", "/node", PERSISTENT);
  await call("create", "/node/held", EPHEMERAL);
  await call("create", "/node/counter", Buffer.from("0"), PERSISTENT);
  const session = client.getSessionId().toString("hex");
  let done = 0;
  for (; !ending; done += 1) await add(done);
  const told = new Promise((tell) => call("getData", "/node/held", tell));
  const [, stat] = await call("getData", "/node/held");
  if (stat.ephemeralOwner.toString("hex") !== session) throw new Error("another owner");
  await call("setData", "/node/held", Buffer.from("last"), -1);
  const event = await told;
  if (event.getPath() !== "/node/held") throw new Error(`an event of ${event}`);
  client.close();
  process.stdin.destroy();
  console.log(`${done} additions`);
}

client.once("connected", () => {
  console.log("connected");
  story().catch((error) => {
    console.log(`failed: ${error.stack}`);
    process.exit(1);
  });
});
client.connect();
