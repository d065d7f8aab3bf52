package standin

import (
	"fmt"
	"strings"
)

// freeForm is the input of a tool whose arguments are text, not JSON.
const freeForm = "\x00text"

// toolSearch is how an agent finds the tools that it does not tell of at once.
const toolSearch = "tool_search"

// codeMode is the tool that runs JavaScript, in which the other tools are functions.
const codeMode = "exec"

// Script is a turn that runs JavaScript in Codex's own interpreter, where the model has that.
func Script(code string) Turn {
	return Turn{Tool: codeMode, Input: map[string]any{freeForm: "// @exec: {\"yield_time_ms\": 60000, \"max_output_tokens\": 20000}\n" + code}}
}

// toolOf turns what a script calls by the names of Claude Code into what the agent offers.
func toolOf(t Turn, tools []string) Turn {
	switch {
	case t.Tool == "Bash":
		return shellOf(t, tools)
	case strings.HasPrefix(t.Tool, "mcp__"):
		return serverToolOf(t, tools)
	}
	return t
}

// shellOf turns the use of Bash into that of the shell which the agent has.
func shellOf(t Turn, tools []string) Turn {
	command, ok := t.Input["command"].(string)
	if !ok {
		return t
	}
	for _, tool := range tools {
		switch tool {
		case codeMode:
			return Script(fmt.Sprintf("const r = await tools.exec_command({cmd: %s, yield_time_ms: 30000, max_output_tokens: 20000}); text(r.output);", encode(command)))
		case "exec_command":
			return Use(tool, map[string]any{"cmd": command, "yield_time_ms": 30000, "max_output_tokens": 20000})
		case "shell_command":
			return Use(tool, map[string]any{"command": command, "timeout_ms": 30000})
		case "shell":
			return Use(tool, map[string]any{"command": []string{"bash", "-lc", command}, "timeout_ms": 30000})
		case "bash", "run_shell_command":
			return Use(tool, map[string]any{"command": command, "description": "Run a command"})
		}
	}
	return t
}

// serverToolOf turns the use of a server's tool into that of one in a name space, of a function in
// code, or into a search for it.
func serverToolOf(t Turn, tools []string) Turn {
	search := false
	for _, tool := range tools {
		space, name, spaced := strings.Cut(tool, "/")
		switch {
		case spaced && identifier(space+"__"+name) == identifier(t.Tool):
			return Turn{Tool: name, space: space, Input: t.Input}
		case tool == codeMode:
			return Script(fmt.Sprintf("text(await tools.%s(%s));", identifier(t.Tool), encode(t.Input)))
		}
		search = search || tool == toolSearch
	}
	if search {
		return Use(toolSearch, map[string]any{"query": strings.ReplaceAll(identifier(t.Tool), "_", " "), "limit": 20})
	}
	return t
}

// identifier is a name as JavaScript can have it.
func identifier(name string) string { return strings.ReplaceAll(name, "-", "_") }
