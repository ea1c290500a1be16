// The official Node client through the gateway: list, chat, stream, and
// refusals as its own errors. The CA comes in NODE_EXTRA_CA_CERTS.
import assert from "node:assert/strict";
import OpenAI from "openai";

const { URL: url, TOKEN: token } = process.env;
const client = (path, apiKey = token) => new OpenAI({ baseURL: url + path, apiKey, maxRetries: 0 });
const gateway = client("/external/v1");
const question = { model: "gpt-4-external", max_tokens: 5, messages: [{ role: "user", content: "Hello" }] };

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const tests = {
  async lists() {
    const models = await all(await client("/v1").models.list());
    assert.deepEqual(models.map((m) => m.id), ["gpt-4-external", "claude-3-sonnet-external"]);
  },
  async chats() {
    const answer = await gateway.chat.completions.create(question);
    assert(answer.choices[0].message.content && answer.usage.total_tokens > 1);
  },
  async streams() {
    const chunks = await all(await gateway.chat.completions.create({ ...question, stream: true, stream_options: { include_usage: true } }));
    assert(chunks.map((c) => c.choices[0]?.delta.content ?? "").join("") !== "");
    assert(chunks.at(-1).usage.total_tokens > 1);
  },
  async streamsWithoutUsage() {
    const chunks = await all(await gateway.chat.completions.create({ ...question, stream: true }));
    assert(chunks.every((c) => c.choices.length > 0), "a chunk that nobody asked for");
  },
  async wrongToken() {
    await assert.rejects(client("/external/v1", "wrong").chat.completions.create(question),
      (e) => e instanceof OpenAI.AuthenticationError && e.status === 401);
  },
  async spentBudget() {
    await assert.rejects(async () => {
      for (let i = 0; i < 200; i++) await gateway.chat.completions.create(question);
    }, (e) => e instanceof OpenAI.RateLimitError && e.code === "rate_limit_exceeded" && e.type === "rate_limit_error" && e.message.includes("free-user-tokens"));
  },
};

let passed = 0, failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    passed++;
  } catch (e) {
    failed++;
    console.log(`FAILED ${name}: ${e}`);
  }
}
console.log(`node: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
