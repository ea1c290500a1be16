// The official Node client on the fake vendors, directly: unary, streams,
// tools, and refusals as its own errors. FAKES says where the vendors are;
// their names are found on loopback, their CA in NODE_EXTRA_CA_CERTS.
import assert from "node:assert/strict";
import dns from "node:dns";
import OpenAI, { AzureOpenAI } from "openai";

const fakes = JSON.parse(process.env.FAKES);
const port = fakes.addr.split(":").at(-1);
const hosts = new Set(Object.values(fakes.vendors).flatMap((v) => v.hosts));
const { lookup } = dns;
dns.lookup = (host, ...rest) => lookup(hosts.has(host) ? "127.0.0.1" : host, ...rest);

const { openai, azure } = fakes.vendors;
const gpt = (apiKey = openai.key) => new OpenAI({ baseURL: `https://${openai.hosts[0]}:${port}/v1`, apiKey, maxRetries: 0 });
const onAzure = (apiKey = azure.key) => new AzureOpenAI({ endpoint: `https://${azure.hosts[0]}:${port}`, apiVersion: "2024-10-21", apiKey, maxRetries: 0 });

const prompt = "What is the weather in Paris?";
const cost = prompt.split(" ").length;
const chat = { model: "gpt-4o", messages: [{ role: "user", content: prompt }] };
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const called = { city: prompt };
const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

// Sets what goes wrong with the next requests.
async function next(...faults) {
  const answer = await fetch(`${fakes.control}/faults?vendor=openai`, { method: "POST", body: JSON.stringify(faults) });
  assert.equal(answer.status, 200);
}

async function chats(client) {
  const answer = await client.chat.completions.create(chat);
  assert.equal(answer.choices[0].message.content, prompt);
  assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [cost, cost]);
  const chunks = await all(await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } }));
  assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? "").join(""), prompt);
  assert.equal(chunks.at(-1).usage.total_tokens, 2 * cost);
}

async function callsTools(client) {
  const answer = await client.chat.completions.create({ ...chat, tools });
  const [call] = answer.choices[0].message.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), called);
  const streamed = await client.chat.completions.stream({ ...chat, tools }).finalChatCompletion();
  assert.deepEqual(JSON.parse(streamed.choices[0].message.tool_calls[0].function.arguments), called);
  const messages = [...chat.messages, answer.choices[0].message, { role: "tool", tool_call_id: call.id, content: "It rains." }];
  const after = await client.chat.completions.create({ ...chat, messages, tools });
  assert.equal(after.choices[0].message.content, "It rains.");
}

const tests = {
  openaiChats: () => chats(gpt()),
  openaiTools: () => callsTools(gpt()),
  async openaiResponses() {
    const answer = await gpt().responses.create({ model: "gpt-4o", input: prompt });
    assert.equal(answer.output_text, prompt);
    const final = await gpt().responses.stream({ model: "gpt-4o", input: prompt }).finalResponse();
    assert.deepEqual([final.output[0].content[0].text, final.usage.input_tokens], [prompt, cost]);
  },
  async openaiErrors() {
    await assert.rejects(gpt("sk-wrong").models.list(), OpenAI.AuthenticationError);
    await assert.rejects(gpt().chat.completions.create({ ...chat, model: "gpt-9" }), OpenAI.NotFoundError);
    await assert.rejects(gpt().chat.completions.create({ ...chat, top_k: 1 }), (e) => e instanceof OpenAI.BadRequestError && e.code === "unknown_parameter" && e.param === "top_k");
    await next({ status: 429, retry_after: "7" }, { status: 500 }, { after: 2, then: "fail" });
    await assert.rejects(gpt().chat.completions.create(chat), (e) => e instanceof OpenAI.RateLimitError && e.headers.get("retry-after") === "7");
    await assert.rejects(gpt().chat.completions.create(chat), OpenAI.InternalServerError);
    await assert.rejects(async () => all(await gpt().chat.completions.create({ ...chat, stream: true })), OpenAI.APIError);
  },
  async openaiLists() {
    assert((await all(await gpt().models.list())).some((m) => m.id === "gpt-4o"));
  },
  azureChats: () => chats(onAzure()),
  azureTools: () => callsTools(onAzure()),
  async azureErrors() {
    await assert.rejects(onAzure("wrong").chat.completions.create(chat), OpenAI.AuthenticationError);
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
console.log(`node on the fakes: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
