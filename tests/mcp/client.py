"""Scenarios for `nixmon mcp` with the Python SDK, a client that this project did not write.

Usage: client.py NIXMON MODE SCENARIO, with MODE `auto` (2026-07-28) or `legacy` (2025-11-25). The environment says where the
store is. Exits 0 if everything held.
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult

NIXMON, MODE, SCENARIO = sys.argv[1:4]

# A build that fails, in Nix's internal-json format.
DRV = "/nix/store/00000000000000000000000000000000-parser-0.4.drv"
FAILURE = "\n".join(
    "@nix " + json.dumps(record)
    for record in [
        {"action": "start", "fields": [DRV, "", 1, 1], "id": 1, "level": 3, "text": "", "type": 105},
        {"action": "result", "fields": ["buildPhase"], "id": 1, "type": 104},
        {"action": "result", "fields": ["src/lexer.c:41:9: error: implicit declaration of 'next_token'"], "id": 1, "type": 101},
        {"action": "result", "fields": ["\x1b]0;evil\x07make: *** [Makefile:7: lexer.o] Error 1"], "id": 1, "type": 101},
        {"action": "msg", "level": 0, "msg": f"error: builder for '{DRV}' failed with exit code 2;\n       last 1 log lines:\n       > make: *** [Makefile:7: lexer.o] Error 1"},
        {"action": "stop", "id": 1},
    ]
)


def connect(**options):
    server = StdioServerParameters(command=NIXMON, args=["mcp"], env=dict(os.environ))
    return Client(server, mode=MODE, **options)


class Calls:
    """Counts calls and the bytes that a model would read."""

    def __init__(self, client):
        self.client, self.n, self.bytes = client, 0, 0

    async def __call__(self, tool, arguments, **options):
        result = await self.client.call_tool(tool, arguments, **options)
        text = "".join(block.text for block in result.content)
        assert "\x1b" not in text and "\x07" not in text, text
        if result.structured_content is not None:
            assert json.loads(text) == result.structured_content, text
        self.n, self.bytes = self.n + 1, self.bytes + len(text.encode())
        return result, text


async def success():
    async with connect() as client:
        call = Calls(client)
        result, text = await call("build_start", {"command": ["sh", "-c", "echo begun; sleep 4; echo done"], "name": "good"})
        assert not result.is_error and len(text) <= 400, text
        run = result.structured_content["id"]
        assert run.startswith("run-") and result.structured_content["first_run"] is True, text
        while True:
            result, text = await call("build_wait", {"id": run, "max_wait_s": 45})
            assert not result.is_error and len(text) <= 400, text
            if result.structured_content["state"] == "ended":
                break
        assert result.structured_content["outcome"] == "success", text
        assert call.n <= 4 and call.bytes <= 2048, (call.n, call.bytes)
        print(f"success: {call.n} calls, {call.bytes} bytes")


async def failure():
    messages = []

    async def on_log(message):
        messages.append(str(message.data))

    async with connect(logging_callback=on_log, log_level="info") as client:
        call = Calls(client)
        script = 'sleep 1; printf "%s\\n" "$0" >&2; sleep 1; exit 2'
        result, text = await call("build_start", {"command": ["sh", "-c", script, FAILURE]})
        run = result.structured_content["id"]
        result, text = await call("build_wait", {"id": run})
        assert result.is_error and len(text) <= 400, text
        assert result.structured_content["outcome"] == "failure", text
        assert result.structured_content["next"] == f'why_failed {{"id":"{run}"}}', text
        result, text = await call("why_failed", {"id": run})
        assert call.n == 3 and result.structured_content is None, text
        assert "src/lexer.c:41:9" in text and "parser-0.4" in text and "untrusted" in text, text
        assert len(text.encode()) <= 8192
        print(f"failure: {call.n} calls, {call.bytes} bytes")
        result, text = await call("build_log", {"id": run, "derivation": "parser-0.4", "grep": "error"})
        assert "lexer.c:41:9" in text and "Makefile" not in text, text
        assert any("parser-0.4" in message for message in messages), messages


async def mistakes():
    async with connect() as client:
        call = Calls(client)
        for tool, arguments, expected in [
            ("build_wait", {"id": "run-999"}, "build_list"),
            ("build_start", {}, "none of installable, target and command"),
            ("build_start", {"command": "make home"}, "`command` is a list of words"),
            ("build_start", {"command": ["no-such-program"]}, "command not found"),
            ("build_start", {"command": ["true"], "cwd": "/no/such"}, "there is no directory"),
            ("build_start", {"target": "home"}, "there is no target home"),
            ("build_start", {"installable": "--help"}, "begins with -"),
            ("build_start", {"command": ["true"], "jobs": 3}, "`jobs` goes with installable"),
            ("build_wait", {"id": "run-1", "max_wait_s": 300}, "0 to 50"),
            ("build_status", {"detial": "full"}, "did you mean `detail`?"),
            ("build_apply", {"plan": "plan-7"}, "there is no plan plan-7"),
            ("build_plan", {"command": ["make", "home"]}, "is not the switch of a tool"),
            ("build_log", {"id": "run-999"}, "no run"),
        ]:
            result, text = await call(tool, arguments)
            assert result.is_error and expected in text and "Next: " in text, (tool, arguments, text)
            for word in ["invalid type", "missing field", "deserializ"]:
                assert word not in text, text
        for tool, arguments in [
            ("build_package_history", {"package_name": "hello", "job_count": 4}),
            ("build_optimal_jobs", {"target": "home"}),
            ("build_history", {"target": "home"}),
            ("watch_events", {"since": 0}),
        ]:
            result, text = await call(tool, arguments)
            assert not result.is_error and "null" in text and result.structured_content["note"], text
            assert len(text) <= 400, text


async def past():
    async with connect() as client:
        call = Calls(client)
        start = {"command": ["sh", "-c", "sleep 1"], "name": "again"}
        result, text = await call("build_start", start)
        first = result.structured_content
        assert first["eta_ms"] is None and first["first_run"] is True, text
        await call("build_wait", {"id": first["id"]})
        result, text = await call("build_history", {"target": "again"})
        known = result.structured_content
        assert known["sample_count"] == 1 and known["runs"][0]["id"] == first["id"], text
        assert known["median_ms"] >= 1000 and known["success_percent"] == 100, text
        result, text = await call("build_start", start)
        second = result.structured_content
        assert second["first_run"] is False and second["eta_ms"] > 0, text
        assert second["eta_low_ms"] <= second["eta_ms"] <= second["eta_high_ms"], text
        await call("build_wait", {"id": second["id"]})
        result, text = await call("build_optimal_jobs", {"target": "again"})
        assert not result.is_error and result.structured_content["note"], text


async def progress():
    seen = []

    async def on_progress(done, total, message):
        seen.append((done, total, message))

    async with connect() as client:
        call = Calls(client)
        result, _ = await call("build_start", {"command": ["sh", "-c", "sleep 12"]})
        run = result.structured_content["id"]
        result, _ = await call("build_wait", {"id": run, "until": "end"}, progress_callback=on_progress)
        assert result.structured_content["outcome"] == "success"
        assert len(seen) == 1, seen


async def resources():
    async with connect() as client:
        call = Calls(client)
        result, _ = await call("build_start", {"command": ["sh", "-c", "printf '%s\\n' \"$0\" >&2; exit 1", FAILURE], "name": "r"})
        run = result.structured_content["id"].removeprefix("run-")
        await call("build_wait", {"id": "r"})
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert f"nixmon://run/{run}" in listed, listed
        text = (await client.read_resource(f"nixmon://run/{run}")).contents[0].text
        assert json.loads(text)["status"]["outcome"] == "failure", text
        text = (await client.read_resource(f"nixmon://run/{run}/log/parser-0.4")).contents[0].text
        assert "lexer.c:41" in text and "untrusted" in text, text
        try:
            await client.read_resource("nixmon://run/999")
            raise AssertionError("there is no such run")
        except AssertionError:
            raise
        except Exception as error:
            assert "no run" in str(error), error
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert prompts == ["rebuild-home", "update-flake"], prompts
        prompt = await client.get_prompt("rebuild-home", {"target": "laptop"})
        assert '"laptop"' in prompt.messages[0].content.text, prompt
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert len(tools) == 14, sorted(tools)
        for name in ["build_start", "build_wait", "why_failed"]:
            assert tools[name].meta["anthropic/alwaysLoad"] is True, tools[name]


async def consent():
    questions = []
    command = {"command": ["colmena", "apply"]}

    def answering(action, agree):
        async def on_question(context, params):
            questions.append(params.message)
            return ElicitResult(action=action, content={"agree": agree} if action == "accept" else None)

        return on_question

    for action, agree, expected in [
        # It is not installed here, but the user had agreed.
        ("accept", True, "command not found"),
        ("accept", False, "did not agree"),
        ("decline", False, "did not agree"),
    ]:
        async with connect(elicitation_callback=answering(action, agree)) as client:
            result, text = await Calls(client)("build_start", command)
            assert result.is_error and expected in text, (action, text)
    assert len(questions) == 3 and "colmena apply" in questions[0], questions
    async with connect() as client:
        result, text = await Calls(client)("build_start", command)
        assert result.is_error and "needs the user's consent" in text, text


asyncio.run(globals()[SCENARIO]())
