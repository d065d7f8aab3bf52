#!/usr/bin/env python3
"""A coding agent in a hundred lines: a chat, one tool, and a record of what was said.

It uses nothing but Python's standard library. Its permission prompts are off, for it runs in a bottle.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

API = "https://api.openai.com/v1/chat/completions"
RECORD = pathlib.Path.home() / ".agent" / "session.json"
TOOLS = [{
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Run a command in the workspace and return what it prints.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}]


def ask(messages, model):
    """One request to the API; its answer's message."""
    body = json.dumps({"model": model, "messages": messages, "tools": TOOLS}).encode()
    request = urllib.request.Request(API, body, {
        "Content-Type": "application/json",
        "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"],
    })
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            return json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        # In a bottle a refusal says what was missing.
        sys.exit(f"agent: {error}: {error.read(2000).decode(errors='replace')}")


def run(call):
    """Carry out one call of the tool."""
    try:
        command = json.loads(call["function"]["arguments"])["command"]
    except (ValueError, KeyError) as error:
        return f"the arguments are not understood: {error}"
    print(f"$ {command}", file=sys.stderr)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, errors="replace", check=False)
    output = (done.stdout + done.stderr)[-20000:]
    return output if done.returncode == 0 else f"{output}\n(exit {done.returncode})"


def turn(messages, task, model):
    """Work on a task until the model hands the conversation back."""
    messages.append({"role": "user", "content": task})
    while True:
        message = ask(messages, model)
        messages.append(message)
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(messages, indent=1))
        if message.get("content"):
            print(message["content"], flush=True)
        calls = message.get("tool_calls") or []
        if not calls:
            return
        for call in calls:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": run(call)})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompt-file")
    parser.add_argument("--model", default="gpt-5.1-codex")
    parser.add_argument("--continue", dest="resume", action="store_true", help="go on with the last session")
    parser.add_argument("task", nargs="?", help="without one, tasks are read line by line")
    options = parser.parse_args()

    messages = []
    if options.resume and RECORD.exists():
        messages = json.loads(RECORD.read_text())
    elif options.prompt_file:
        messages = [{"role": "system", "content": pathlib.Path(options.prompt_file).read_text()}]
    for task in [options.task] if options.task else sys.stdin:
        if task.strip():
            turn(messages, task.strip(), options.model)


if __name__ == "__main__":
    main()
