"""The official Python client through the gateway: list, chat, stream, and refusals as its own errors.

The CA comes in SSL_CERT_FILE.
"""
import os

import openai

passed = failed = 0


def check(name, test):
    global passed, failed
    try:
        test()
        passed += 1
    except Exception as e:
        failed += 1
        print(f"FAILED {name}: {type(e).__name__}: {e}")


def client(path, token=os.environ["TOKEN"]):
    return openai.OpenAI(base_url=os.environ["URL"] + path, api_key=token, max_retries=0)


gateway = client("/external/v1")
question = {"model": "gpt-4-external", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}


def lists():
    assert [m.id for m in client("/v1").models.list()] == ["gpt-4-external", "claude-3-sonnet-external"]


def chats():
    answer = gateway.chat.completions.create(**question)
    assert answer.choices[0].message.content and answer.usage.total_tokens > 1, answer


def streams():
    chunks = list(gateway.chat.completions.create(stream=True, stream_options={"include_usage": True}, **question))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks
    assert chunks[-1].usage.total_tokens > 1, chunks[-1]


def streams_without_usage():
    chunks = list(gateway.chat.completions.create(stream=True, **question))
    assert all(c.choices for c in chunks), "a chunk that nobody asked for"


def raises(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError(f"no {kind.__name__}")


def wrong_token():
    assert raises(openai.AuthenticationError, lambda: client("/external/v1", "wrong").chat.completions.create(**question)).status_code == 401


def spent_budget():
    def spend():
        for _ in range(200):
            gateway.chat.completions.create(**question)

    e = raises(openai.RateLimitError, spend)
    assert e.code == "rate_limit_exceeded" and e.type == "rate_limit_error" and "free-user-tokens" in e.message, e


for test in [lists, chats, streams, streams_without_usage, wrong_token, spent_budget]:
    check(test.__name__, test)
print(f"python: {passed} passed, {failed} failed")
raise SystemExit(failed > 0)
