// The official Node client on the fake vendors: unary, streams, tools, and
// refusals as its own errors. FAKES says where the vendors are. Without URL the
// client calls them directly: their names are found on loopback, their CA in
// NODE_EXTRA_CA_CERTS. With URL it calls a gateway with TOKEN, which must show
// the vendors its own keys and charge what the answers cost.
import assert from "node:assert/strict";
import dns from "node:dns";
import OpenAI, { AzureOpenAI } from "openai";

const fakes = JSON.parse(process.env.FAKES);
const { URL: gateway, TOKEN: token, ADMIN_URL: admin } = process.env;
const port = fakes.addr.split(":").at(-1);
const hosts = new Set(Object.values(fakes.vendors).flatMap((v) => v.hosts));
const { lookup } = dns;
dns.lookup = (host, ...rest) => lookup(hosts.has(host) ? "127.0.0.1" : host, ...rest);

const url = (vendor) => (gateway ? `${gateway}/${vendor}` : `https://${fakes.vendors[vendor].hosts[0]}:${port}`);
const key = (vendor) => (gateway ? token : fakes.vendors[vendor].key);
const gpt = (apiKey = key("openai")) => new OpenAI({ baseURL: `${url("openai")}/v1`, apiKey, maxRetries: 0 });
const onAzure = (apiKey = key("azure")) => new AzureOpenAI({ endpoint: url("azure"), apiVersion: "2024-10-21", apiKey, maxRetries: 0 });

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

// What the gateway's ledger has of all users, in tokens.
async function spent() {
  const [, user, host] = admin.match(/^http:\/\/(.*)@([^/]*)/);
  const answer = await fetch(`http://${host}/usage?by=user`, { headers: { Authorization: `Basic ${btoa(user)}` } });
  assert.equal(answer.status, 200);
  return (await answer.json()).rows.reduce((sum, row) => sum + row.total, 0);
}

const throughGateway = {
  async charges() {
    const want = (await spent()) + 8 * cost;
    await chats(gpt());
    await chats(onAzure());
    for (const deadline = Date.now() + 10_000; (await spent()) < want && Date.now() < deadline; ) await new Promise((r) => setTimeout(r, 20));
    assert.equal(await spent(), want);
  },
  ...tests,
  async keepsKeys() {
    for (const [vendor, header] of [["openai", "authorization"], ["azure", "api-key"]]) {
      const seen = await (await fetch(`${fakes.control}/journal?vendor=${vendor}`)).json();
      assert(seen.length > 0, `${vendor} saw nothing`);
      for (const call of seen) {
        assert.deepEqual([call.via, call.credential], [header, fakes.vendors[vendor].key]);
        assert(![JSON.stringify(call.header), call.query, atob(call.body ?? "")].some((text) => text.includes(token)), "the token has left");
      }
    }
  },
};

let passed = 0, failed = 0;
for (const [name, test] of Object.entries(gateway ? throughGateway : tests)) {
  try {
    await test();
    passed++;
  } catch (e) {
    failed++;
    console.log(`FAILED ${name}: ${e}`);
  }
}
console.log(`node ${gateway ? "through the gateway to" : "on"} the fakes: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
