// Uses all of pgmq-js on the database that the first argument names, and ends
// with an error at the first answer that is not as it should be.
import assert from "node:assert/strict";
import { Pgmq } from "pgmq-js";

const pgmq = await Pgmq.new({ ssl: false, ...JSON.parse(process.argv[2]) }, { skipExtensionCreation: true });
const { queue, msg } = pgmq;
const ids = (messages) => messages.map((m) => m.msgId).sort((a, b) => a - b);

await queue.create("jobs");
await queue.create("jobs");
await queue.createUnlogged("quick");
const listed = (await queue.list()).sort((a, b) => a.name.localeCompare(b.name));
assert.deepEqual(listed.map((q) => [q.name, q.isPartitioned, q.isUnlogged]), [["jobs", false, false], ["quick", false, true]]);
assert.ok(Math.abs(Date.now() - listed[0].createdAt) < 60_000);

assert.equal(await msg.send("jobs", { n: 1, text: "ü'\"" }), 1);
assert.equal(await msg.send("jobs", "late", 3600), 2);
assert.deepEqual(await msg.sendBatch("jobs", [[3], null, 5]), [3, 4, 5]);

const first = await msg.read("jobs", 3600);
assert.deepEqual(first.message, { n: 1, text: "ü'\"" });
assert.equal(first.msgId, 1);
assert.equal(first.readCount, 1);
assert.ok(first.vt - first.enqueuedAt >= 3_590_000);
assert.deepEqual(ids(await msg.readBatch("jobs", 3600, 10)), [3, 4, 5]);
assert.equal(await msg.read("jobs"), undefined);

const set = await msg.setVt("jobs", 1, -1);
assert.equal(set.msgId, 1);
assert.equal(await msg.setVt("jobs", 99, 1), undefined);
assert.equal((await msg.pop("jobs")).msgId, 1);
assert.equal(await msg.pop("jobs"), undefined);

const metrics = await queue.getMetrics("jobs");
assert.equal(metrics.queueName, "jobs");
assert.equal(metrics.queueLength, 4);
assert.equal(metrics.totalMessages, 5);
assert.ok(metrics.oldestMsgAgeSec >= 0 && metrics.newestMsgAgeSec >= 0);
const all = await queue.getAllMetrics();
assert.deepEqual(all.map((m) => m.queueName).sort(), ["jobs", "quick"]);
assert.equal(all.find((m) => m.queueName === "quick").newestMsgAgeSec, undefined);

assert.equal(await msg.archive("jobs", 3), true);
assert.equal(await msg.archive("jobs", 3), false);
assert.deepEqual(await msg.archiveBatch("jobs", [3, 4]), [4]);
assert.equal(await msg.delete("jobs", 5), true);
assert.equal(await msg.delete("jobs", 5), false);
assert.deepEqual(await msg.deleteBatch("jobs", [2, 5]), [2]);

await msg.sendBatch("quick", [1, 2]);
await queue.purge("quick");
assert.equal(await msg.read("quick"), undefined);
assert.equal(await msg.send("quick", 3), 3);
await queue.detachArchive("quick");
await queue.drop("quick");
await queue.drop("quick");
assert.deepEqual((await queue.list()).map((q) => q.name), ["jobs"]);

await assert.rejects(msg.send("quick", 1), { code: "42P01" });
await assert.rejects(queue.create("n".repeat(48)), { code: "P0001" });
await pgmq.close();
console.log("pgmq-js: all is as it should be");
