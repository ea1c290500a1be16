"""The official Python clients on the fake vendors: unary, streams, tools, and refusals as their own errors.

FAKES says where the vendors are. Without URL the clients call them directly: their names are found on loopback, their
CA in SSL_CERT_FILE. With URL they call a gateway with TOKEN, which must show the vendors its own keys and charge what
the answers cost.
"""
import base64
import json
import os
import socket
import time
import urllib.parse
import urllib.request

import anthropic
import openai

fakes = json.loads(os.environ["FAKES"])
gateway, token = os.environ.get("URL"), os.environ.get("TOKEN")
port = fakes["addr"].rsplit(":", 1)[1]
hosts = {h for v in fakes["vendors"].values() for h in v["hosts"]}
lookup = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: lookup("127.0.0.1" if host in hosts else host, *rest, **more)

prompt, system = "What is the weather in Paris?", "Be brief."
cost_in, cost_out = len((prompt + " " + system).split()), len(prompt.split())
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
called = {"city": prompt}


def url(vendor, path=""):
    return f"{gateway}/{vendor}{path}" if gateway else f"https://{fakes['vendors'][vendor]['hosts'][0]}:{port}{path}"


def key(vendor):
    return token if gateway else fakes["vendors"][vendor]["key"]


def next_faults(vendor, *faults):
    """Sets what goes wrong with the next requests."""
    request = urllib.request.Request(f"{fakes['control']}/faults?vendor={vendor}", json.dumps(faults).encode(), method="POST")
    urllib.request.urlopen(request).close()


def raises(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError(f"no {kind.__name__}")


def gpt(key=key("openai")):
    return openai.OpenAI(base_url=url("openai", "/v1"), api_key=key, max_retries=0)


def azure(**auth):
    return openai.AzureOpenAI(azure_endpoint=url("azure"), api_version="2024-10-21", max_retries=0, **auth)


def claude(key=key("anthropic")):
    return anthropic.Anthropic(base_url=url("anthropic"), api_key=key, max_retries=0)


chat = {"model": "gpt-4o", "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}]}
function = {"type": "function", "function": {"name": "weather", "parameters": schema}}
message = {"model": "claude-opus-4-5", "max_tokens": 100, "system": system, "messages": [{"role": "user", "content": prompt}]}
tool = {"name": "weather", "input_schema": schema}


def chats(client):
    answer = client.chat.completions.create(**chat)
    assert answer.choices[0].message.content == prompt, answer
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (cost_in, cost_out), answer.usage
    chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **chat))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == prompt, chunks
    assert chunks[-1].usage.total_tokens == cost_in + cost_out, chunks[-1]
    unasked = list(client.chat.completions.create(stream=True, **chat))
    assert all(c.usage is None for c in unasked), unasked


def calls_tools(client):
    answer = client.chat.completions.create(tools=[function], **chat)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments) == called, answer
    with client.chat.completions.stream(tools=[function], **chat) as stream:
        final = stream.get_final_completion()
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == called, final
    said = chat["messages"] + [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "It rains."}]
    after = client.chat.completions.create(model="gpt-4o", messages=said, tools=[function])
    assert after.choices[0].message.content == "It rains.", after


def openai_chats():
    chats(gpt())


def openai_tools():
    calls_tools(gpt())


def openai_responses():
    question = {"model": "gpt-4o", "instructions": system, "input": prompt}
    answer = gpt().responses.create(**question)
    assert answer.output_text == prompt and answer.usage.input_tokens == cost_in, answer
    with gpt().responses.stream(**question) as stream:
        assert "".join(e.delta for e in stream if e.type == "response.output_text.delta") == prompt
        assert stream.get_final_response().usage.output_tokens == cost_out
    tools = [{"type": "function", "name": "weather", "parameters": schema, "strict": False}]
    with gpt().responses.stream(tools=tools, **question) as stream:
        assert json.loads(stream.get_final_response().output[0].arguments) == called


def openai_errors():
    raises(openai.AuthenticationError, lambda: gpt("sk-wrong").models.list())
    raises(openai.NotFoundError, lambda: gpt().chat.completions.create(**chat | {"model": "gpt-9"}))
    e = raises(openai.BadRequestError, lambda: gpt().chat.completions.create(extra_body={"top_k": 1}, **chat))
    assert e.code == "unknown_parameter" and e.param == "top_k", e
    next_faults("openai", {"status": 429, "retry_after": "7"}, {"status": 500})
    e = raises(openai.RateLimitError, lambda: gpt().chat.completions.create(**chat))
    assert e.response.headers["retry-after"] == "7", e
    raises(openai.InternalServerError, lambda: gpt().chat.completions.create(**chat))
    next_faults("openai", {"after": 2, "then": "fail"}, {"after": 2, "then": "garble"})
    raises(openai.APIError, lambda: list(gpt().chat.completions.create(stream=True, **chat)))
    raises(json.JSONDecodeError, lambda: list(gpt().chat.completions.create(stream=True, **chat)))


def openai_lists():
    assert "gpt-4o" in [m.id for m in gpt().models.list()]


def azure_chats():
    chats(azure(api_key=key("azure")))


def azure_tools():
    calls_tools(azure(api_key=key("azure")))


def azure_errors():
    raises(openai.AuthenticationError, lambda: azure(api_key="wrong").chat.completions.create(**chat))
    raises(openai.AuthenticationError, lambda: azure(azure_ad_token="wrong").chat.completions.create(**chat))
    raises(openai.NotFoundError, lambda: azure(api_key=key("azure")).chat.completions.create(**chat | {"model": "none"}))


def anthropic_messages():
    answer = claude().messages.create(**message)
    assert answer.content[0].text == prompt and answer.stop_reason == "end_turn", answer
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (cost_in, cost_out), answer.usage
    with claude().messages.stream(**message) as stream:
        assert "".join(stream.text_stream) == prompt
        usage = stream.get_final_message().usage
    assert (usage.input_tokens, usage.output_tokens) == (cost_in, cost_out), usage
    counted = claude().messages.count_tokens(model=message["model"], messages=message["messages"])
    assert counted.input_tokens == cost_out, counted


def anthropic_tools():
    answer = claude().messages.create(tools=[tool], **message)
    use = answer.content[0]
    assert use.type == "tool_use" and use.input == called and answer.stop_reason == "tool_use", answer
    with claude().messages.stream(tools=[tool], **message) as stream:
        assert stream.get_final_message().content[0].input == called
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "It rains."}]}
    said = message["messages"] + [{"role": "assistant", "content": answer.content}, result]
    after = claude().messages.create(tools=[tool], **message | {"messages": said})
    assert after.content[0].text == "It rains.", after


def anthropic_errors():
    raises(anthropic.AuthenticationError, lambda: claude("wrong").models.list())
    raises(anthropic.NotFoundError, lambda: claude().messages.create(**message | {"model": "gpt-4o"}))
    raises(anthropic.BadRequestError, lambda: claude().messages.create(extra_body={"n": 1}, **message))
    next_faults("anthropic", {"status": 429}, {"status": 529}, {"after": 2, "then": "fail"})
    raises(anthropic.RateLimitError, lambda: claude().messages.create(**message))
    assert raises(anthropic.APIStatusError, lambda: claude().messages.create(**message)).status_code == 529
    raises(anthropic.APIStatusError, lambda: list(claude().messages.create(stream=True, **message)))


def anthropic_lists():
    assert message["model"] in [m.id for m in claude().models.list()]


def spent():
    """What the gateway's ledger has of all users, in tokens."""
    at = urllib.parse.urlsplit(os.environ["ADMIN_URL"])
    user, host = at.netloc.rsplit("@", 1)
    basic = base64.b64encode(user.encode()).decode()
    with urllib.request.urlopen(urllib.request.Request(f"http://{host}/usage?by=user", headers={"Authorization": f"Basic {basic}"})) as answer:
        return sum(row["total"] for row in json.load(answer)["rows"])


def charges():
    want, deadline = spent() + 8 * (cost_in + cost_out), time.monotonic() + 10
    chats(gpt())
    chats(azure(api_key=key("azure")))
    anthropic_messages()
    while spent() < want and time.monotonic() < deadline:
        time.sleep(0.02)
    assert spent() == want, f"{spent()} tokens are charged, want {want}"


def keeps_keys():
    for vendor, header in [("openai", "authorization"), ("azure", "api-key"), ("anthropic", "x-api-key")]:
        with urllib.request.urlopen(f"{fakes['control']}/journal?vendor={vendor}") as answer:
            seen = json.load(answer)
        assert seen, f"{vendor} saw nothing"
        for call in seen:
            assert (call["via"], call["credential"]) == (header, fakes["vendors"][vendor]["key"]), call
            assert token not in json.dumps(call["header"]) + call["query"], call
            assert token not in base64.b64decode(call["body"] or "").decode(), call


tests = [openai_chats, openai_tools, openai_responses, openai_errors, openai_lists, azure_chats, azure_tools, azure_errors,
         anthropic_messages, anthropic_tools, anthropic_errors, anthropic_lists]
if gateway:
    tests = [charges, *tests, keeps_keys]
passed = failed = 0
for test in tests:
    try:
        test()
        passed += 1
    except Exception as e:
        failed += 1
        print(f"FAILED {test.__name__}: {type(e).__name__}: {e}")
print(f"python {'through the gateway to' if gateway else 'on'} the fakes: {passed} passed, {failed} failed")
raise SystemExit(failed > 0)
